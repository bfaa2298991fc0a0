//! A TCP proxy in front of a server, which can hold back, delay or drop requests and answers.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does to connections, old and new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No fault.
    None,
    /// Answers are read and dropped; the connection stays open.
    SwallowAnswers,
    /// Requests reach the server; at its answer the connection is cut.
    CutBeforeAnswer,
    /// Every answer comes [`LATE`].
    Late,
    /// Requests are held back until the fault ends or their sender has gone.
    HoldRequests,
    /// Answers are held back likewise.
    HoldAnswers,
}

/// How late an answer is.
pub(crate) const LATE: Duration = Duration::from_millis(150);

/// The proxy; it ends when dropped.
pub(crate) struct Proxy {
    port: u16,
    to: Arc<AtomicU16>,
    fault: Arc<AtomicU8>,
    held: Arc<Mutex<Vec<u8>>>,
    cuts: Arc<AtomicU8>,
    awaited: Awaited,
    fates: watch::Sender<Fates>,
    task: JoinHandle<()>,
}

/// The text that brings a fault about.
type Awaited = Arc<Mutex<Option<(Vec<u8>, Fault)>>>;

/// How often the connections that were open were stranded, and severed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Fates {
    stranded: u64,
    severed: u64,
}

impl Proxy {
    /// Starts a proxy in front of a port of this machine.
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fault = Arc::new(AtomicU8::new(Fault::None as u8));
        let to = Arc::new(AtomicU16::new(to));
        let (held, cuts) = (Arc::default(), Arc::<AtomicU8>::default());
        let awaited = Awaited::default();
        let (shared, target, keep, cut) =
            (Arc::clone(&fault), Arc::clone(&to), Arc::clone(&held), Arc::clone(&cuts));
        let await_it = Arc::clone(&awaited);
        let fates = watch::Sender::default();
        let watched = fates.subscribe();
        let task = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let to = target.load(Ordering::SeqCst);
                let faults = Faults { now: Arc::clone(&shared), awaited: Arc::clone(&await_it) };
                let relayed = relay(caller, to, faults, Arc::clone(&keep), Arc::clone(&cut));
                tokio::spawn(fated(relayed, watched.clone()));
            }
        });
        Self { port, to, fault, held, cuts, awaited, fates, task }
    }

    /// The port on 127.0.0.1.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Leads new connections to another port of this machine.
    pub(crate) fn lead_to(&self, port: u16) {
        self.to.store(port, Ordering::SeqCst);
    }

    /// How often a text is in the requests that are kept.
    pub(crate) fn holds(&self, text: &str) -> usize {
        let held = self.held.lock().unwrap();
        held.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
    }

    /// The requests that are kept.
    pub(crate) fn kept(&self) -> Vec<u8> {
        self.held.lock().unwrap().clone()
    }

    /// Throws away what is kept, and ends the connections it came on.
    pub(crate) fn cut(&self) {
        self.cuts.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends the connections that are open: their callers see it, as when a server goes away.
    pub(crate) fn sever(&self) {
        self.fates.send_modify(|fates| fates.severed += 1);
    }

    /// Forgets the connections that are open, as a balancer does with idle ones: what is sent on
    /// them is taken and goes nowhere, and no end is seen. New ones are served.
    pub(crate) fn strand(&self) {
        self.fates.send_modify(|fates| fates.stranded += 1);
    }

    /// Changes what it does from now on.
    pub(crate) fn set(&self, fault: Fault) {
        self.held.lock().unwrap().clear();
        self.fault.store(fault as u8, Ordering::SeqCst);
    }

    /// Holds requests back from the one with this text on.
    pub(crate) fn hold_from(&self, text: &str) {
        *self.awaited.lock().unwrap() = Some((text.as_bytes().to_vec(), Fault::HoldRequests));
    }

    /// Changes it as soon as something with this text has gone to the server. So the fault meets
    /// the answer to that, whatever else goes on, and never keeps it from being sent.
    pub(crate) fn set_once_sent(&self, text: &str, fault: Fault) {
        *self.awaited.lock().unwrap() = Some((text.as_bytes().to_vec(), fault));
    }
}

/// What a connection is to do.
struct Faults {
    now: Arc<AtomicU8>,
    awaited: Awaited,
}

impl Faults {
    fn now(&self) -> u8 {
        self.now.load(Ordering::SeqCst)
    }

    /// Notes bytes that have come from a caller.
    fn came(&self, bytes: &[u8]) {
        self.begin(bytes, |fault| fault == Fault::HoldRequests);
    }

    /// Notes bytes that have gone to the server.
    fn sent(&self, bytes: &[u8]) {
        self.begin(bytes, |fault| fault != Fault::HoldRequests);
    }

    fn begin(&self, bytes: &[u8], begins_now: impl Fn(Fault) -> bool) {
        let mut awaited = self.awaited.lock().unwrap();
        let is_it = |(text, fault): &mut (Vec<u8>, Fault)| {
            begins_now(*fault) && bytes.windows(text.len()).any(|part| part == &text[..])
        };
        if let Some((_, fault)) = awaited.take_if(is_it) {
            self.now.store(fault as u8, Ordering::SeqCst);
        }
    }

    /// Waits until there is no such fault.
    async fn until_not(&self, one: Fault) {
        while self.now() == one as u8 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Relays until the connection is severed, or stranded and then severed.
async fn fated(relayed: impl Future<Output = ()>, mut fates: watch::Receiver<Fates>) {
    let at_first = *fates.borrow_and_update();
    let mut relayed = std::pin::pin!(relayed);
    let is_stranded = tokio::select! {
        () = &mut relayed => false,
        // The connection stays as it is, since it is not polled any more.
        changed = fates.wait_for(|now| *now != at_first) => {
            changed.is_ok_and(|now| now.severed == at_first.severed)
        }
    };
    if is_stranded {
        let _ = fates.wait_for(|now| now.severed != at_first.severed).await;
    }
}

async fn relay(
    caller: TcpStream,
    to: u16,
    faults: Faults,
    held: Arc<Mutex<Vec<u8>>>,
    cuts: Arc<AtomicU8>,
) {
    let cuts_before = cuts.load(Ordering::SeqCst);
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let now = || faults.now();
    let onward = async {
        let (mut buffer, mut kept) = (vec![0; 64 * 1024], Vec::new());
        loop {
            let read = tokio::select! {
                // First, so that nothing is sent whose sender has gone.
                biased;
                read = from_caller.read(&mut buffer) => read?,
                () = faults.until_not(Fault::HoldRequests), if !kept.is_empty() => {
                    if cuts.load(Ordering::SeqCst) != cuts_before {
                        return Ok(());
                    }
                    to_server.write_all(&std::mem::take(&mut kept)).await?;
                    continue;
                }
            };
            if read == 0 {
                return Ok(());
            }
            kept.extend_from_slice(&buffer[..read]);
            faults.came(&buffer[..read]);
            if now() == Fault::HoldRequests as u8 {
                held.lock().unwrap().extend_from_slice(&buffer[..read]);
            } else {
                let sent = std::mem::take(&mut kept);
                to_server.write_all(&sent).await?;
                faults.sent(&sent);
            }
        }
    };
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from_server.read(&mut buffer).await?;
            if read == 0 || now() == Fault::CutBeforeAnswer as u8 {
                return Ok(());
            }
            if now() == Fault::Late as u8 {
                tokio::time::sleep(LATE).await;
            }
            faults.until_not(Fault::HoldAnswers).await;
            if now() != Fault::SwallowAnswers as u8 {
                to_caller.write_all(&buffer[..read]).await?;
            }
        }
    };
    // The end of either side ends both.
    let _: std::io::Result<()> = tokio::select! { ended = onward => ended, ended = back => ended };
}
