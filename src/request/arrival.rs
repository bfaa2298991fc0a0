//! A request on its way in, as the listener hands it over and as the layers below the first one get
//! it.

use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use http::Request;

use super::{RequestId, RequestLog};

/// A request as the listener hands it over.
pub struct Inbound<B> {
    /// The request, as hyper read it.
    pub request: Request<B>,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// Whether the connection was accepted after the gateway had begun to refuse.
    pub too_late: bool,
}

/// A well-formed request and its route.
#[derive(Debug)]
pub struct Routed<B, R> {
    /// The request.
    pub arrival: Arrival<B>,
    /// The route, narrowed to the branch of the stack that answers it.
    pub route: R,
}

/// A request with an id and a log. Made by the outermost layer, before anything is checked.
pub struct Arrival<B> {
    /// The request.
    pub request: Request<B>,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// Whether the connection was accepted after the gateway had begun to refuse.
    pub too_late: bool,
    /// When it arrived.
    pub at: Instant,
    /// The id.
    pub id: RequestId,
    /// Facts that the layers note for the access line and the metrics.
    pub record: RequestLog,
}

/// Leaves out the headers, which hold a credential, and the path, which may hold one.
impl<B> fmt::Debug for Inbound<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} from {}", self.request.method(), self.peer)
    }
}

/// Leaves out the headers, which hold a credential, and the path, which may hold one.
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
            let request = Request::post("/api/v1/flux/dev?key=mgk_secret")
                .header("authorization", "Bearer mgk_secret");
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
