//! A certificate authority of its own, and a server's certificate of it.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// An authority, and a certificate of it for this machine.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        // Another name than the server's: OpenSSL takes issuer and subject of one name for a
        // self-signed certificate.
        authority.distinguished_name.push(DnType::CommonName, "an authority of this test");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = authority.self_signed(&key).unwrap();
        let issuer = Issuer::new(authority, key);
        let server_key = KeyPair::generate().unwrap();
        let server =
            CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let server = server.signed_by(&server_key, &issuer).unwrap();
        for (name, text) in [
            ("ca.pem", own.pem()),
            ("tls.crt", server.pem()),
            ("tls.key", server_key.serialize_pem()),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder }
    }

    /// The path of `ca.pem`, `tls.crt`, `tls.key` or another file beside them.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// The authority's own certificate, as PEM.
    pub fn pem(&self) -> Arc<[u8]> {
        std::fs::read(self.file("ca.pem")).unwrap().into()
    }

    /// The server's certificate and its key.
    pub fn certificate(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_file_iter(self.file("tls.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.file("tls.key")).unwrap();
        (chain.map(Result::unwrap).collect(), key)
    }

    /// `listen.tls` with its certificate.
    pub fn listener(&self) -> Value {
        json!({ "cert": { "file": self.file("tls.crt") }, "key": { "file": self.file("tls.key") } })
    }

    /// A server that shows its certificate.
    pub fn acceptor(&self) -> TlsAcceptor {
        let (chain, key) = self.certificate();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }

    /// A client that trusts it alone.
    pub fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.file("ca.pem")).unwrap()).unwrap();
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        TlsConnector::from(Arc::new(client))
    }
}
