//! Checks of the two listeners, the bounds of requests, the catalogue, kept answers, logs, and
//! start and stop of the gateway.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::HeaderValue;
use http::uri::Authority;
use ipnet::IpNet;

use super::{Check, DAY, HOUR, MILLISECOND, MINUTE};
use crate::config::file::{Admin, Bounds, Catalogue, Cors, Fields, Listen, Replay, Shutdown, Tls};
use crate::config::file::{ForwardedHeader as Header, Role};
use crate::config::report::KeyPath;
use crate::config::settings::ShutdownSettings;
use crate::request::TrustedProxies;
use crate::request::origin::ForwardedHeader;
use crate::{admin, catalogue, idempotency, request, server};

const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;

/// An origin, if it is written as browsers write it (RFC 6454, 6.1): otherwise it would never be
/// the one that a page has.
fn origin(text: &str) -> Option<HeaderValue> {
    let (scheme, authority) = text.split_once("://")?;
    let default_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let parsed = authority.parse::<Authority>().ok()?;
    let is_plain = parsed.as_str() == authority
        && !authority.contains('@')
        && !authority.ends_with([':', '.'])
        && !authority.ends_with(default_port)
        && !authority.bytes().any(|byte| byte.is_ascii_uppercase());
    (is_plain && !parsed.host().is_empty()).then(|| text.parse().ok()).flatten()
}

impl Check<'_> {
    pub(super) fn server(
        &mut self,
        listen: &Listen,
        bounds: &Bounds,
        request: Option<&request::Settings>,
        root: &KeyPath,
    ) -> Option<server::Settings> {
        let (path, limits) = (root.key("listen"), root.key("limits"));
        let address = self.address(&listen.address, &path.key("address"));
        let tls = self.tls(listen.tls.as_ref(), &path.key("tls"));
        let header_timeout = self.duration(
            &bounds.header_timeout,
            &limits.key("header_timeout"),
            MILLISECOND..=HOUR,
        );
        let idle_timeout =
            self.duration(&bounds.idle_timeout, &limits.key("idle_timeout"), MILLISECOND..=HOUR);
        let read_rate_min = self.size(&bounds.read_rate_min, &limits.key("read_rate_min"), 1..=GIB);
        let read_window = self.duration(
            &bounds.read_window,
            &limits.key("read_window"),
            100 * MILLISECOND..=HOUR,
        );
        let header_bytes_max = self.size(
            &bounds.header_bytes_max,
            &limits.key("header_bytes_max"),
            8 * KIB..=KIB * KIB,
        );
        Some(server::Settings {
            address: address?,
            tls: tls?,
            workers: usize::try_from(listen.workers).ok()?,
            connections_max: usize::try_from(bounds.connections_max).ok()?,
            header_timeout: header_timeout?,
            idle_timeout: idle_timeout?,
            read_rate_min: read_rate_min?,
            read_window: read_window?,
            body_timeout: request?.body_timeout,
            body_bytes_max: request?.body_bytes_max,
            header_bytes_max: usize::try_from(header_bytes_max?).ok()?,
            streams_per_connection_max: bounds.streams_per_connection_max,
        })
    }

    pub(super) fn trusted_proxies(
        &mut self,
        listen: &Listen,
        path: &KeyPath,
    ) -> Option<TrustedProxies> {
        let mut networks = Vec::new();
        for (index, text) in listen.trusted_proxies.iter().enumerate() {
            networks.extend(self.network(text, &path.key("trusted_proxies").item(index)));
        }
        let header = match listen.forwarded_header {
            Header::XForwardedFor => ForwardedHeader::XForwardedFor,
            Header::Forwarded => ForwardedHeader::Forwarded,
        };
        Some(TrustedProxies { networks, header })
    }

    /// A network or one address, without bits beyond the prefix: those could mean either.
    fn network(&mut self, text: &str, path: &KeyPath) -> Option<IpNet> {
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        let network = text
            .parse::<IpNet>()
            .ok()
            .or_else(address)
            .filter(|network| network.trunc() == *network);
        let wrong =
            || format!("must be a network such as 10.0.0.0/8 or 2001:db8::/32, not {text:?}");
        self.noting(network.ok_or_else(wrong), path)
    }

    pub(super) fn cors_origins(&mut self, cors: &Cors, path: &KeyPath) -> Option<Vec<HeaderValue>> {
        let mut origins = Vec::new();
        for (index, text) in cors.origins.iter().enumerate() {
            let wrong = || {
                format!(
                    "must be an origin as a browser names it, such as https://studio.example.com: \
                     no path, no upper case, no default port; not {text:?}"
                )
            };
            let origin = origin(text).ok_or_else(wrong);
            origins.extend(self.noting(origin, &path.key("origins").item(index)));
        }
        (origins.len() == cors.origins.len()).then_some(origins)
    }

    /// Outer `None`: wrong. Inner `None`: no TLS.
    #[allow(clippy::option_option)]
    fn tls(&mut self, tls: Option<&Tls>, path: &KeyPath) -> Option<Option<server::TlsFiles>> {
        let Some(tls) = tls else { return Some(None) };
        let mut file = |written: &str, key: &str| {
            let found = self.sources.secret_file(written);
            self.noting(found, &path.key(key).key("file"))
        };
        let (cert, key) = (file(&tls.cert.file, "cert"), file(&tls.key.file, "key"));
        Some(Some(server::TlsFiles { cert: cert?, key: key? }))
    }

    pub(super) fn admin_address(
        &mut self,
        listen: &Listen,
        admin: &Admin,
        root: &KeyPath,
    ) -> Option<SocketAddr> {
        let path = root.key("admin").key("address");
        let address = self.address(&admin.address, &path)?;
        if listen.address.parse().is_ok_and(|team| overlap(team, address)) {
            self.report.add(&path, "must not be the address of the team listener");
        }
        Some(address)
    }

    pub(super) fn admin(&mut self, admin: &Admin, path: &KeyPath) -> Option<admin::Settings> {
        let mut names = BTreeSet::new();
        let mut tokens = Vec::new();
        for (index, token) in admin.tokens.iter().enumerate() {
            let path = path.key("tokens").item(index);
            let name = self.name(&token.name, &path.key("name"));
            self.distinct(&mut names, &token.name, "token", &path.key("name"));
            let sha256 = self.sources.sha256(&token.sha256);
            let sha256 = self.noting(sha256, &path.key("sha256"));
            let role = match token.role {
                Role::Read => admin::Role::Read,
                Role::Write => admin::Role::Write,
            };
            tokens.extend(name.zip(sha256).map(|(name, sha256)| admin::Token {
                name,
                sha256,
                role,
            }));
        }
        for (index, name) in admin.hosts.iter().enumerate() {
            let is_name = name.parse::<Authority>().is_ok_and(|authority| authority.host() == name);
            if !is_name {
                let wrong = format!(
                    "must be a name such as moongate.internal, without scheme and port, \
                     not {name:?}"
                );
                self.report.add(&path.key("hosts").item(index), wrong);
            }
        }
        // A wrong address was noted with the fixed settings.
        Some(admin::Settings {
            address: admin.address.parse().ok()?,
            tokens,
            hosts: admin.hosts.clone(),
        })
    }

    pub(super) fn request(&mut self, bounds: &Bounds, path: &KeyPath) -> Option<request::Settings> {
        let body = self.size(&bounds.body_bytes_max, &path.key("body_bytes_max"), 1..=GIB);
        let buffered =
            self.size(&bounds.buffered_bytes_max, &path.key("buffered_bytes_max"), 1..=KIB * GIB);
        let body_timeout =
            self.duration(&bounds.body_timeout, &path.key("body_timeout"), MILLISECOND..=HOUR);
        let (body_bytes_max, buffered_bytes_max) = (body?, buffered?);
        if buffered_bytes_max < body_bytes_max {
            self.report.add(
                &path.key("buffered_bytes_max"),
                "must hold at least one body of limits.body_bytes_max",
            );
        }
        Some(request::Settings { body_bytes_max, buffered_bytes_max, body_timeout: body_timeout? })
    }

    pub(super) fn catalogue(
        &mut self,
        shape: &Catalogue,
        path: &KeyPath,
    ) -> Option<catalogue::Settings> {
        let fresh_for =
            self.duration(&shape.fresh_for, &path.key("fresh_for"), Duration::ZERO..=30 * DAY);
        let bytes_max = self.size(&shape.bytes_max, &path.key("bytes_max"), KIB..=GIB);
        let fields = path.key("fields");
        let mut pointer = |written: &Option<String>, key: &str| {
            if written
                .as_ref()
                .is_some_and(|written| !written.is_empty() && !written.starts_with('/'))
            {
                self.report
                    .add(&fields.key(key), "must be a JSON pointer such as /pricing/credits");
            }
            written.clone()
        };
        let Fields { id, price, unit } = &shape.fields;
        let fields = catalogue::Fields {
            id: pointer(id, "id"),
            price: pointer(price, "price"),
            unit: pointer(unit, "unit"),
        };
        Some(catalogue::Settings {
            public: shape.public,
            fresh_for: fresh_for?,
            bytes_max: bytes_max?,
            fields,
        })
    }

    pub(super) fn replay(
        &mut self,
        shape: &Replay,
        path: &KeyPath,
    ) -> Option<idempotency::Settings> {
        let retention = self.duration(&shape.retention, &path.key("retention"), MINUTE..=30 * DAY);
        let join_max = self.duration(&shape.join_max, &path.key("join_max"), Duration::ZERO..=HOUR);
        let answer =
            self.size(&shape.answer_bytes_max, &path.key("answer_bytes_max"), 0..=64 * KIB * KIB);
        let memory =
            self.size(&shape.memory_bytes_max, &path.key("memory_bytes_max"), 0..=KIB * GIB);
        let (answer_bytes_max, memory_bytes_max) = (answer?, memory?);
        if memory_bytes_max < answer_bytes_max {
            self.report.add(
                &path.key("memory_bytes_max"),
                "must hold at least one answer of replay.answer_bytes_max",
            );
        }
        Some(idempotency::Settings {
            retention: retention?,
            join_max: join_max?,
            answer_bytes_max,
            memory_bytes_max,
        })
    }

    pub(super) fn shutdown(
        &mut self,
        shape: &Shutdown,
        path: &KeyPath,
    ) -> Option<ShutdownSettings> {
        let delay = self.duration(&shape.delay, &path.key("delay"), Duration::ZERO..=10 * MINUTE);
        let grace = self.duration(&shape.grace, &path.key("grace"), Duration::ZERO..=DAY);
        Some(ShutdownSettings { delay: delay?, grace: grace? })
    }

    fn address(&mut self, text: &str, path: &KeyPath) -> Option<SocketAddr> {
        let wrong = |_| format!("must be an address and a port such as [::]:8080, not {text:?}");
        self.noting(text.parse().map_err(wrong), path)
    }
}

/// Whether two sockets cannot both listen. Port 0 takes a free one.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_every = |address: SocketAddr| address.ip().is_unspecified();
    one.port() != 0
        && one.port() == other.port()
        && (one.ip() == other.ip() || is_every(one) || is_every(other))
}
