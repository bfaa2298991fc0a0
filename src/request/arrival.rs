//! A request on its way in: what the listener hands over, and what every layer below the first one works with.

use std::net::IpAddr;

use http::Request;

use super::{Record, RequestId};

/// What the listener hands over: a request and where it came from.
#[derive(Debug)]
pub struct Inbound<B> {
    /// The request, as hyper read it.
    pub request: Request<B>,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
}

/// A request with a name and a record. Made by the outermost layer; nothing about it has been checked yet.
#[derive(Debug)]
pub struct Arrival<B> {
    /// The request.
    pub request: Request<B>,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// Its name.
    pub id: RequestId,
    /// Where the layers note what they learn, for the access line and the metrics.
    pub record: Record,
}
