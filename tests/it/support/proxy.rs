//! A TCP proxy in front of a server, which can lose or delay what the server answers.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the proxy does to connections, old and new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// What the server answers is read and dropped; the connection stays open.
    SwallowAnswers,
    /// What is sent reaches the server; at its answer the connection is cut.
    CutBeforeAnswer,
    /// Every answer comes [`LATE`].
    Late,
}

/// How late an answer is.
pub(crate) const LATE: Duration = Duration::from_millis(50);

/// The proxy; it ends when dropped.
pub(crate) struct Proxy {
    port: u16,
    fault: Arc<AtomicU8>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy in front of a port of this machine.
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fault = Arc::new(AtomicU8::new(Fault::None as u8));
        let shared = Arc::clone(&fault);
        let task = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                tokio::spawn(relay(caller, to, Arc::clone(&shared)));
            }
        });
        Self { port, fault, task }
    }

    /// Its port on 127.0.0.1.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Changes what it does from now on.
    pub(crate) fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(caller: TcpStream, to: u16, fault: Arc<AtomicU8>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let onward = async { tokio::io::copy(&mut from_caller, &mut to_server).await.map(drop) };
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from_server.read(&mut buffer).await?;
            let fault = fault.load(Ordering::SeqCst);
            if read == 0 || fault == Fault::CutBeforeAnswer as u8 {
                return Ok(());
            }
            if fault == Fault::Late as u8 {
                tokio::time::sleep(LATE).await;
            }
            if fault != Fault::SwallowAnswers as u8 {
                to_caller.write_all(&buffer[..read]).await?;
            }
        }
    };
    // Either side's end ends both.
    let _: std::io::Result<()> = tokio::select! { ended = onward => ended, ended = back => ended };
}
