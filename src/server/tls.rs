//! TLS for the team listener: its certificate, and the HTTP versions it offers.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::settings::TlsFiles;

/// Reads certificate and key; offers HTTP/2 and HTTP/1.1.
///
/// # Errors
/// A file cannot be read, or key and certificate do not fit together.
pub fn acceptor(files: &TlsFiles) -> io::Result<TlsAcceptor> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&files.cert).map_err(io::Error::other)?.collect();
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(io::Error::other)?;
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(chain.map_err(io::Error::other)?, key).map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
