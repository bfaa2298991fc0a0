//! Client address of a request: its peer's, or the one a trusted proxy reports.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};
use ipnet::IpNet;

/// Header in which most proxies list the addresses a request came through; each proxy appends its
/// peer's.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Proxies whose forwarded headers are believed. Everyone else's are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// The networks of the proxies.
    pub networks: Vec<IpNet>,
    /// The header they write. The other one is never read: a proxy passes on what the caller put
    /// there.
    pub header: ForwardedHeader,
}

/// A header that lists the addresses a request came through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: caller, proxy, proxy`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=caller, for=proxy` (RFC 7239).
    Forwarded,
}

impl TrustedProxies {
    /// Client address of a request. Reads the header from its end, where the nearest proxy writes,
    /// up to the first address that is not trusted: the caller may have written everything before
    /// it.
    #[must_use]
    pub fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut origin = peer.to_canonical();
        if !self.trusts(origin) {
            return origin;
        }
        let named: fn(&str) -> Option<IpAddr> = match self.header {
            ForwardedHeader::XForwardedFor => address,
            ForwardedHeader::Forwarded => forwarded_for,
        };
        for hop in self.hops(headers).rev() {
            // A proxy that hides its peer, or lists something else, ends the chain.
            let Some(before) = hop.and_then(named) else { break };
            origin = before;
            if !self.trusts(origin) {
                break;
            }
        }
        origin
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Elements of the header, over all its lines; `None` for a line that is not text.
    fn hops<'a>(&self, headers: &'a HeaderMap) -> impl DoubleEndedIterator<Item = Option<&'a str>> {
        let name = match self.header {
            ForwardedHeader::XForwardedFor => X_FORWARDED_FOR,
            ForwardedHeader::Forwarded => FORWARDED,
        };
        let lines: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
        let parts = |line: &'a HeaderValue| match line.to_str() {
            Ok(text) => text.split(',').map(Some).collect(),
            Err(_) => vec![None],
        };
        lines.into_iter().flat_map(parts)
    }
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// The address in the `for` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut of_whom = element.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim_matches([' ', '\t'])
            .eq_ignore_ascii_case("for")
            .then(|| value.trim_matches([' ', '\t']))
    });
    let (value, None) = (of_whom.next()?, of_whom.next()) else { return None };
    address(value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value))
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn origin(header: ForwardedHeader, peer: &str, headers: &[(&'static str, &str)]) -> String {
        let networks = ["10.0.0.0/8", "2001:db8:aaaa::/48"]
            .map(|network| network.parse().expect("network"))
            .to_vec();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("value"));
        }
        TrustedProxies { networks, header }.origin(peer.parse().expect("address"), &map).to_string()
    }

    #[test]
    fn only_a_trusted_proxys_word_counts() {
        let headers = [("x-forwarded-for", "192.0.2.1")];
        let spoofed = [
            ("forwarded", "for=192.0.2.1"),
            ("x-real-ip", "192.0.2.1"),
            ("true-client-ip", "192.0.2.1"),
        ];
        let x = ForwardedHeader::XForwardedFor;
        assert_eq!(origin(x, "10.1.2.3", &headers), "192.0.2.1");
        assert_eq!(
            origin(x, "::ffff:10.1.2.3", &headers),
            "192.0.2.1",
            "a socket of both families"
        );
        assert_eq!(origin(x, "2001:db8:aaaa::7", &headers), "192.0.2.1");
        assert_eq!(origin(x, "11.1.2.3", &headers), "11.1.2.3");
        assert_eq!(
            origin(x, "10.1.2.3", &spoofed),
            "10.1.2.3",
            "headers that the proxy does not write"
        );
        assert_eq!(origin(ForwardedHeader::Forwarded, "10.1.2.3", &headers), "10.1.2.3");
        let nobody = TrustedProxies::default();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
        assert_eq!(
            nobody.origin(IpAddr::from([10, 1, 2, 3]), &headers),
            IpAddr::from([10, 1, 2, 3])
        );
    }

    #[test]
    fn forwarded_addresses_are_read_from_the_end_past_trusted_ones() {
        for (lines, expected) in [
            (vec!["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            (vec!["203.0.113.9, 192.0.2.1, 10.0.0.1,10.0.0.2"], "192.0.2.1"),
            (vec!["10.9.9.9, 192.0.2.1, 10.0.0.1"], "192.0.2.1"),
            (vec!["203.0.113.9", "192.0.2.1", "10.0.0.1"], "192.0.2.1"),
            (vec!["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            (vec!["192.0.2.1:4711"], "192.0.2.1"),
            (vec!["[2001:db8::1]:4711"], "2001:db8::1"),
            (vec!["2001:db8::1"], "2001:db8::1"),
            (vec!["::ffff:192.0.2.1"], "192.0.2.1"),
            (vec!["192.0.2.1, unknown"], "10.1.2.3"),
            (vec!["192.0.2.1, 10.0.0.1x"], "10.1.2.3"),
            (vec!["192.0.2.1, "], "10.1.2.3"),
            (vec!["192.0.2.1", "\u{e9}"], "10.1.2.3"),
            (vec!["unknown, 10.0.0.1"], "10.0.0.1"),
            (vec![""], "10.1.2.3"),
            (vec![], "10.1.2.3"),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            assert_eq!(
                origin(ForwardedHeader::XForwardedFor, "10.1.2.3", &headers),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn the_standard_header_is_understood() {
        for (line, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"192.0.2.1:4711\";proto=https;by=203.0.113.43", "192.0.2.1"),
            ("for=203.0.113.9, proto=http ; for = \"[2001:db8::1]:80\"", "2001:db8::1"),
            ("for=192.0.2.1, for=10.0.0.1", "192.0.2.1"),
            ("for=192.0.2.1, for=_hidden", "10.1.2.3"),
            ("for=192.0.2.1, for=unknown", "10.1.2.3"),
            ("for=192.0.2.1;for=192.0.2.2", "10.1.2.3"),
            ("192.0.2.1", "10.1.2.3"),
            ("proto=https", "10.1.2.3"),
        ] {
            assert_eq!(
                origin(ForwardedHeader::Forwarded, "10.1.2.3", &[("forwarded", line)]),
                expected,
                "{line}"
            );
        }
    }
}
