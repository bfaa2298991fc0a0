//! A request for the catalogue or for a page, with what its answer depends on.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::HOST;
use http::uri::Authority;

use super::Arrival;
use super::route::{Catalogue, Page};

/// A request for the catalogue. Leaves out the query string, which would only split one cache entry
/// into two.
#[derive(Debug)]
pub struct Lookup {
    /// The page of the catalogue.
    pub question: Catalogue,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// Headers of the request, for the proxy's report of the caller and for conditional requests.
    pub headers: HeaderMap,
}

impl Lookup {
    /// The lookup of a request.
    #[must_use]
    pub fn of<B>(arrival: Arrival<B>, question: Catalogue) -> Self {
        let (head, _) = arrival.request.into_parts();
        Self { question, peer: arrival.peer, headers: head.headers }
    }
}

/// A question for the team page or a file of it.
#[derive(Debug)]
pub struct Visit {
    /// The requested page.
    pub page: Page,
    /// Host name of the request, without the port; empty when it has none.
    pub host: String,
    /// The request's headers: which copy the caller has.
    pub headers: HeaderMap,
}

impl Visit {
    /// The question of a request.
    #[must_use]
    pub fn of<B>(arrival: Arrival<B>, page: Page) -> Self {
        let (head, _) = arrival.request.into_parts();
        let named = head.headers.get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
        let authority = head.uri.authority().cloned().or(named);
        let host = authority.map(|authority: Authority| authority.host().to_ascii_lowercase());
        Self { page, host: host.unwrap_or_default(), headers: head.headers }
    }
}
