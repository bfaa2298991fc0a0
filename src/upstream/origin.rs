//! The upstream's address: scheme, host, port and path, with its TLS settings.

use std::sync::Arc;
use std::{fs, io};

use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Uri};
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::head::head;
use super::settings::{Protocol, Settings};
use crate::trust;

/// Target of connections. One for each configuration; connections to different ones are kept apart.
pub struct Origin {
    /// Host and port.
    pub authority: Authority,
    /// Host and port as the `Host` header.
    pub host: HeaderValue,
    /// Headers common to all calls; a call's own replace placeholders (see [`super::forward`]).
    pub head: HeaderMap,
    /// The path before `/v1/{model}`.
    pub prefix: String,
    /// The HTTP version.
    pub protocol: Protocol,
    /// TLS; `None` for plain `http`.
    pub tls: Option<Tls>,
}

/// TLS to the upstream. Certificates are always verified.
pub struct Tls {
    /// Makes TLS connections.
    pub connector: TlsConnector,
    /// The name the certificate must have.
    pub name: ServerName<'static>,
}

impl Origin {
    /// Parses the address and loads the trusted certificates.
    ///
    /// # Errors
    /// The address is not an `http` or `https` URL with a host, or a certificate file cannot be
    /// read.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let parts = settings.base_url.clone().into_parts();
        let invalid = |why: &str| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("upstream.base_url {why}"))
        };
        let authority = parts.authority.ok_or_else(|| invalid("has no host"))?;
        let tls = match parts.scheme {
            Some(scheme) if scheme == Scheme::HTTPS => Some(tls(settings, authority.host())?),
            Some(scheme) if scheme == Scheme::HTTP => None,
            Some(_) | None => return Err(invalid("is neither http nor https")),
        };
        let prefix = settings.base_url.path().trim_end_matches('/').to_owned();
        let host = HeaderValue::from_str(authority.as_str())
            .map_err(|_| invalid("has a host that no header can name"))?;
        let head = head(&host);
        Ok(Self { authority, host, head, prefix, protocol: settings.protocol, tls })
    }

    /// Host and port to connect to.
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        let default = if self.tls.is_some() { 443 } else { 80 };
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        (host, self.authority.port_u16().unwrap_or(default))
    }

    /// The whole URI of a path, for HTTP/2.
    pub fn absolute(&self, path: &Uri) -> Result<Uri, http::Error> {
        let scheme = if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let path = path.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Uri::builder().scheme(scheme).authority(self.authority.clone()).path_and_query(path).build()
    }
}

fn tls(settings: &Settings, host: &str) -> io::Result<Tls> {
    let authorities = settings.ca_file.as_ref().map(fs::read).transpose()?;
    let mut config = trust::client_config(true, authorities.as_deref())?;
    config.alpn_protocols = match settings.protocol {
        Protocol::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
    };
    let name =
        ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
    Ok(Tls { connector: TlsConnector::from(Arc::new(config)), name })
}
