//! A request on its way in: what the listener hands over, and what every layer below the first one works with.

use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use http::Request;

use super::{RequestId, RequestLog};

/// What the listener hands over: a request and where it came from.
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
    pub record: RequestLog,
}

/// Without the headers, which hold a credential, and without the path, which may.
impl<B> fmt::Debug for Inbound<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} from {}", self.request.method(), self.peer)
    }
}

/// Without the headers, which hold a credential, and without the path, which may.
impl<B> fmt::Debug for Arrival<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: a {} from {}", self.id.as_str(), self.request.method(), self.peer)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_down_without_its_credential() {
        let request = || {
            let request = Request::post("/api/v1/flux/dev?key=mgk_secret").header("authorization", "Bearer mgk_secret");
            request.header("x-api-key", "mgk_secret").body(()).expect("a request")
        };
        let peer = IpAddr::from([192, 0, 2, 1]);
        let inbound = Inbound { request: request(), peer, too_late: false };
        assert_eq!(format!("{inbound:?}"), "a POST from 192.0.2.1");
        let (at, id, record) = (Instant::now(), RequestId::accept(None), RequestLog::default());
        let arrival = Arrival { request: request(), peer, too_late: false, at, id, record };
        let routed = Routed { arrival, route: () };
        assert!(!format!("{routed:?}").contains("secret"), "{routed:?}");
    }
}
