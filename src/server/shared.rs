//! State shared by the accept loops of all workers.

use std::io;
use std::sync::Arc;

use super::places::Places;
use super::tls::Certificate;
use super::{Drain, Observer, Settings};
use crate::live::Live;

/// The listener's part of the process.
#[derive(Clone)]
pub struct Server {
    /// Bounds of connections.
    pub settings: Arc<Settings>,
    /// The certificate, when the listener speaks TLS.
    pub(super) tls: Option<Live<Certificate>>,
    /// The drain.
    pub drain: Drain,
    pub(super) places: Places,
    observer: Arc<dyn Observer>,
}

impl Server {
    /// A server that has accepted no connection yet.
    ///
    /// # Errors
    /// The certificate cannot be loaded.
    pub fn new(settings: Settings, drain: Drain, observer: Arc<dyn Observer>) -> io::Result<Self> {
        let certificate = settings.tls.as_ref().map(Certificate::read).transpose()?;
        if let Some(certificate) = &certificate {
            observer.certificate_ends(certificate.ends_at);
        }
        let places = Places::new(settings.connections_max, Arc::clone(&observer));
        let tls = certificate.map(Live::new);
        Ok(Self { settings: Arc::new(settings), tls, drain, places, observer })
    }

    /// The certificate as its files have it now, if the listener speaks TLS.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub fn renewed(&self) -> io::Result<Option<Certificate>> {
        self.settings.tls.as_ref().map(Certificate::read).transpose()
    }

    /// Shows this certificate from the next connection on.
    pub fn show(&self, certificate: Certificate) {
        if let Some(tls) = &self.tls {
            self.observer.certificate_ends(certificate.ends_at);
            tls.replace(certificate);
        }
    }
}
