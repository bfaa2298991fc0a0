//! What the accept loops of all workers share: bounds, the certificate, how it stops, and how many connections there
//! are.

use std::io;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

use super::room::Room;
use super::{Drain, Observer, Settings, tls};

/// One for the process.
#[derive(Clone)]
pub struct Server {
    /// The bounds of connections.
    pub settings: Arc<Settings>,
    /// Set when the listener speaks TLS.
    pub tls: Option<TlsAcceptor>,
    /// How it stops.
    pub drain: Drain,
    pub(super) room: Room,
}

impl Server {
    /// A server that has not accepted anybody yet.
    ///
    /// # Errors
    /// The certificate cannot be loaded.
    pub fn new(settings: Settings, drain: Drain, observer: Arc<dyn Observer>) -> io::Result<Self> {
        let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
        let room = Room::new(settings.connections_max, observer);
        Ok(Self { settings: Arc::new(settings), tls, drain, room })
    }
}
