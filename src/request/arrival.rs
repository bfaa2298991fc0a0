//! A request on its way in: what the listener hands over, and what every layer below the first one works with.

use std::net::IpAddr;

use std::time::Instant;

use http::Request;

use super::{Record, RequestId};

/// What the listener hands over: a request and where it came from.
#[derive(Debug)]
pub struct Inbound<B> {
    /// The request, as hyper read it.
    pub request: Request<B>,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// Whether its connection was accepted only after the gateway had begun to refuse.
    pub too_late: bool,
}

/// A request whose form has been checked, and the route it is for.
#[derive(Debug)]
pub struct Routed<B, R> {
    /// The request.
    pub arrival: Arrival<B>,
    /// The route, narrowed to the branch of the stack that answers it.
    pub route: R,
}

/// A request with a name and a record. Made by the outermost layer; nothing about it has been checked yet.
#[derive(Debug)]
pub struct Arrival<B> {
    /// The request.
    pub request: Request<B>,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// Whether its connection was accepted only after the gateway had begun to refuse.
    pub too_late: bool,
    /// When it arrived.
    pub at: Instant,
    /// Its name.
    pub id: RequestId,
    /// Where the layers note what they learn, for the access line and the metrics.
    pub record: Record,
}
