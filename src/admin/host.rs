//! Host names that the operator's listener accepts when it is on loopback.
//!
//! A web page that an operator visits can resolve its own name to 127.0.0.1 (DNS rebinding) and
//! then read this listener as its own origin. Its requests still carry its name in `Host`. So a
//! listener on loopback accepts only names of this machine and configured ones. On a network,
//! probes and scrapes come by a pod's address or any service name, and no name is checked.

use std::net::{IpAddr, SocketAddr};

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Uri};

use crate::refusal::Refusal;

/// Refuses a request whose `Host` is not accepted.
///
/// # Errors
/// `invalid_request`, with what would be right.
pub(super) fn check(
    address: SocketAddr,
    uri: &Uri,
    headers: &HeaderMap,
    names: &[String],
) -> Result<(), Refusal> {
    if !address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    // Every browser sends it.
    let named =
        headers.get_all(HOST).iter().map(|value| value.to_str().ok()?.parse::<Authority>().ok());
    let mut hosts = named.chain(uri.authority().map(|authority| Some(authority.clone())));
    if hosts.all(|host| host.is_some_and(|host| is_known(host.host(), names))) {
        return Ok(());
    }
    Err(Refusal::InvalidRequest(vec![
        "Host: this listener answers to localhost, 127.0.0.1, [::1] and the names of admin.hosts"
            .to_owned(),
    ]))
}

fn is_known(host: &str, names: &[String]) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| address.to_canonical().is_loopback())
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn is_answered(address: &str, target: &str, hosts: &[&str]) -> bool {
        let headers = hosts.iter().map(|host| (HOST, host.parse().expect("a value"))).collect();
        let names = ["Moongate.internal".to_owned()];
        check(address.parse().expect(address), &target.parse().expect(target), &headers, &names)
            .is_ok()
    }

    #[test]
    fn on_loopback_only_local_and_configured_host_names_are_answered() {
        for address in ["127.0.0.1:9091", "[::1]:9091", "127.9.9.9:1", "[::ffff:127.0.0.1]:9091"] {
            for host in [
                "localhost",
                "LOCALHOST:9091",
                "localhost.:80",
                "127.0.0.1:9091",
                "127.1.2.3",
                "[::1]:8443",
                "[::1]",
                "moongate.internal:443",
            ] {
                assert!(is_answered(address, "/metrics", &[host]), "{address} as {host}");
            }
            for host in [
                "evil.example",
                "localhost.evil.example",
                "127.0.0.1.evil.example",
                "evil.example:9091",
                "10.0.0.1",
                "[2001:db8::1]",
                "",
                "a b",
                "0.0.0.0",
                "localhost@evil.example",
            ] {
                assert!(!is_answered(address, "/metrics", &[host]), "{address} as {host}");
            }
            assert!(is_answered(address, "/metrics", &[]), "whoever is no browser");
            assert!(!is_answered(address, "/metrics", &["localhost", "evil.example"]));
            assert!(!is_answered(address, "http://evil.example/metrics", &["localhost"]));
        }
    }

    #[test]
    fn on_a_network_every_name_is_answered() {
        for address in ["0.0.0.0:9091", "[::]:9091", "10.1.2.3:9091"] {
            assert!(
                is_answered(address, "/metrics", &["moongate.monitoring.svc:9091"]),
                "{address}"
            );
        }
    }
}
