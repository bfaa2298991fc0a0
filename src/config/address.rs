//! Checks of hosts, ports and paths that a URL parser accepts although they are unreachable, or
//! lead elsewhere than was meant. An invalid port, for example, counts as absent there, so that 443
//! would be used.

use http::uri::Authority;

/// Messages with the right form of each part. They never repeat the text, which may be a misplaced
/// password.
const HOST: &str = "must name a host such as example.com, 192.0.2.1 or [2001:db8::1]";
const PORT: &str = "must have a port from 1 to 65535 after the colon";
const PATH: &str = "must have a plain path: no empty, . or .. segments, no backslashes, nothing \
                    encoded that divides paths";

/// Checks that host and port of an address are usable.
///
/// # Errors
/// The right form, as a message.
pub fn reachable(authority: &Authority) -> Result<(), &'static str> {
    let (host, port) = parts(authority.as_str());
    if !is_host(host) {
        return Err(HOST);
    }
    match port {
        Some(port) if !is_port(port) => Err(PORT),
        Some(_) | None => Ok(()),
    }
}

/// Checks that a text is `HOST:PORT`.
///
/// # Errors
/// The right form, as a message.
pub fn host_and_port(text: &str) -> Result<String, String> {
    match parts(text) {
        (_, None) => Err("must be HOST:PORT".to_owned()),
        (host, Some(_)) if !is_host(host) => Err(HOST.to_owned()),
        (_, Some(port)) if !is_port(port) => Err(PORT.to_owned()),
        (_, Some(_)) => Ok(text.to_owned()),
    }
}

/// Checks that a path has no segments that lead elsewhere. A slash at its end is fine.
///
/// # Errors
/// The right form, as a message.
pub fn plain_path(path: &str) -> Result<(), &'static str> {
    let path = path.to_ascii_lowercase();
    let divides = ["\\", "%2f", "%5c", "%00"].iter().any(|sign| path.contains(sign));
    let segments = path.strip_prefix('/').unwrap_or(&path);
    let segments = segments.strip_suffix('/').unwrap_or(segments);
    let wrong = |segment: &str| matches!(segment.replace("%2e", ".").as_str(), "" | "." | "..");
    if divides || (!segments.is_empty() && segments.split('/').any(wrong)) {
        Err(PATH)
    } else {
        Ok(())
    }
}

/// The host, and the text after its colon.
fn parts(authority: &str) -> (&str, Option<&str>) {
    let end_of_brackets = authority.rfind(']').unwrap_or(0);
    match authority.rfind(':').filter(|colon| *colon > end_of_brackets || end_of_brackets == 0) {
        Some(colon) => (authority.get(..colon).unwrap_or_default(), authority.get(colon + 1..)),
        None => (authority, None),
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host(host: &str) -> bool {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    // Resolvers read a name that ends in a number as an IPv4 address.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) {
        return host.parse::<std::net::Ipv4Addr>().is_ok();
    }
    let is_label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(is_label)
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<(), &'static str> {
        text.parse::<Authority>()
            .map_err(|_| "no authority")
            .and_then(|authority| reachable(&authority))
    }

    #[test]
    fn a_configured_host_and_port_must_be_reachable() {
        for good in [
            "firemoon.studio",
            "localhost:8080",
            "127.0.0.1:1",
            "[::1]",
            "[2001:db8::1]:65535",
            "a_b.internal",
            "x.y.",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(of(good), Ok(()), "{good}");
        }
        for bad in [
            "host:99999",
            "host:0",
            "host:65536",
            "host:",
            "host:http",
            "[::1]:99999",
            "127.0.0.1:-1",
            "host:+80",
        ] {
            assert!(
                of(bad).is_err_and(|why| why == PORT || why == "no authority"),
                "{bad}: {:?}",
                of(bad)
            );
        }
        for bad in [
            "1.2.3.999",
            "1.2.3",
            "256.0.0.1:80",
            "a..b",
            ".a",
            "-a",
            "a-",
            "a$b",
            "[::g]",
            ":8080",
            "7",
        ] {
            assert!(
                of(bad).is_err_and(|why| why == HOST || why == "no authority"),
                "{bad}: {:?}",
                of(bad)
            );
        }
    }

    #[test]
    fn a_health_check_needs_a_host_and_a_port() {
        for good in ["127.0.0.1:9091", "[::1]:9091", "gateway.moongate.svc:9091"] {
            assert_eq!(host_and_port(good).as_deref(), Ok(good));
        }
        for bad in [
            "127.0.0.1",
            "[::1]",
            "::1",
            "127.0.0.1:99999",
            "http://127.0.0.1:9091",
            "",
            ":",
            ":9091",
            "a b:1",
        ] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_leads_where_it_seems_to() {
        for good in ["", "/", "/api", "/api/", "/a/b.c/..d", "/a%20b", "/..."] {
            assert_eq!(plain_path(good), Ok(()), "{good}");
        }
        for bad in [
            "/api/../v1",
            "/.",
            "/./api",
            "/api/..",
            "//api",
            "/a//b",
            "/%2e%2E/a",
            "/.%2e",
            "/a%2Fb",
            "/a\\b",
            "/%00",
        ] {
            assert_eq!(plain_path(bad), Err(PATH), "{bad}");
        }
    }
}
