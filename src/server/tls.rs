//! TLS for the team listener: its certificate, which may be replaced while it is served, and the
//! HTTP versions it offers.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::settings::TlsFiles;

/// Certificate of the listener, ready to be shown to callers.
#[derive(Clone)]
pub struct Certificate {
    /// Accepts connections with it; offers HTTP/2 and HTTP/1.1.
    pub acceptor: TlsAcceptor,
    /// When it ends: the earliest end in its chain, after which callers refuse it.
    pub ends_at: Timestamp,
}

impl Certificate {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// A file cannot be read, or key and certificate do not fit together.
    pub fn read(files: &TlsFiles) -> io::Result<Self> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(&files.cert).map_err(io::Error::other)?.collect();
        let chain = chain.map_err(io::Error::other)?;
        let ends_at = chain
            .iter()
            .map(end)
            .try_fold(Timestamp::MAX, |first, end| end.map(|end| first.min(end)))?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(io::Error::other)?;
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(chain, key).map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), ends_at })
    }
}

/// The end of a certificate's validity (RFC 5280, 4.1.2.5).
fn end(certificate: &CertificateDer<'_>) -> io::Result<Timestamp> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(io::Error::other)?;
    let seconds = parsed.validity().not_after.timestamp();
    Timestamp::from_second(seconds).map_err(io::Error::other)
}
