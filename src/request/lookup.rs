//! A question to the catalogue, with what its answer depends on beside it.

use std::net::IpAddr;

use http::HeaderMap;

use super::Arrival;
use super::route::Catalogue;

/// A question to the catalogue. The query string is no part of it: it would only make two questions of one.
#[derive(Debug)]
pub struct Lookup {
    /// What is asked.
    pub question: Catalogue,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// The request's headers: whom a proxy speaks for, and which copy the caller has.
    pub headers: HeaderMap,
}

impl Lookup {
    /// The question of a request.
    #[must_use]
    pub fn of<B>(arrival: Arrival<B>, question: Catalogue) -> Self {
        let (head, _) = arrival.request.into_parts();
        Self { question, peer: arrival.peer, headers: head.headers }
    }
}
