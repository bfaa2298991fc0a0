//! Certificate authorities trusted by the gateway's own clients: the machine's, or only those of a
//! file.

use std::io;

use hyper_rustls::ConfigBuilderExt;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// TLS configuration that trusts the authorities of a PEM text. Without one and if `is_needed`, it
/// trusts the machine's (`SSL_CERT_FILE` replaces them).
///
/// # Errors
/// No authority was found.
pub fn client_config(is_needed: bool, authorities: Option<&[u8]>) -> io::Result<ClientConfig> {
    let tls = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let tls = match authorities {
        Some(pem) => tls.with_root_certificates(read(pem)?),
        None if is_needed => tls.with_native_roots()?,
        None => tls.with_root_certificates(RootCertStore::empty()),
    };
    Ok(tls.with_no_client_auth())
}

/// Reads certificate authorities from PEM.
///
/// # Errors
/// The text has no certificate, or one that is unusable.
pub fn read(pem: &[u8]) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    if roots.is_empty() {
        Err(io::Error::other("there is no certificate in it"))
    } else {
        Ok(roots)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_no_trust_in_anybody() {
        let key =
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n";
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in ["", "no certificate", key, broken, "-----BEGIN CERTIFICATE-----\n"] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
            assert!(client_config(true, Some(text.as_bytes())).is_err(), "{text}");
        }
        assert!(client_config(false, None).is_ok());
    }
}
