//! Checks of the ledger's store: exactly one, and no password outside a secret.

use std::sync::Arc;

use http::Uri;

use super::{Check, DAY, HOUR, MILLISECOND, optional};
use crate::config::address;
use crate::config::file::Reference;
use crate::config::file::ledger::{Ledger, OnOutage, Redis};
use crate::config::report::KeyPath;
use crate::config::settings::{LedgerSettings, Store};
use crate::ledger::Retention;
use crate::secret::Secret;
use crate::store::{self, Topology};

impl Check<'_> {
    pub(super) fn ledger(&mut self, shape: &Ledger, path: &KeyPath) -> Option<LedgerSettings> {
        let ttl = 100 * MILLISECOND..=HOUR;
        let reservation_ttl =
            self.duration(&shape.reservation_ttl, &path.key("reservation_ttl"), ttl);
        let rows = self.duration(&shape.retention, &path.key("retention"), HOUR..=3650 * DAY);
        let usage =
            self.duration(&shape.usage_retention, &path.key("usage_retention"), DAY..=3650 * DAY);
        match shape.on_outage {
            OnOutage::Refuse => {}
        }
        let store = match (&shape.redis, &shape.embedded) {
            (Some(redis), None) => self.redis(redis, &path.key("redis")).map(Store::Redis),
            (None, Some(embedded)) if embedded.path.is_empty() => {
                self.report.add(&path.key("embedded").key("path"), "must name a file");
                None
            }
            (None, Some(embedded)) => {
                Some(Store::Embedded { path: self.sources.path(&embedded.path) })
            }
            (None, None) | (Some(_), Some(_)) => {
                self.report.add(path, "must have exactly one of redis and embedded");
                None
            }
        };
        let retention = Retention { rows: rows?, rows_max: shape.rows_max, usage: usage? };
        let (store, reservation_ttl) = (store?, reservation_ttl?);
        Some(LedgerSettings { store, reservation_ttl, retention, on_loss: shape.on_loss })
    }

    fn redis(&mut self, shape: &Redis, path: &KeyPath) -> Option<store::Settings> {
        let topology = self.topology(shape, path);
        let deadline = self.duration(
            &shape.deadline,
            &path.key("deadline"),
            MILLISECOND..=30_000 * MILLISECOND,
        );
        let password = self.login(shape.username.as_deref(), shape.password.as_ref(), path);
        let ca = shape.ca_file.as_ref().map(|file| {
            let content = self.sources.content(file);
            self.noting(content, &path.key("ca_file"))
        });
        Some(store::Settings {
            username: shape.username.clone(),
            password: password?,
            ca: optional(ca)?.map(|(_, pem)| Arc::from(pem.as_slice())),
            deadline: deadline?,
            wait_replicas: shape.wait_replicas,
            allow_eviction: shape.allow_eviction,
            ..store::Settings::new(topology?)
        })
    }

    /// A user's password, checked together with the user's name; outer `None`: wrong, inner `None`:
    /// none is given.
    #[allow(clippy::option_option)]
    fn login(
        &mut self,
        user: Option<&str>,
        password: Option<&Reference>,
        path: &KeyPath,
    ) -> Option<Option<Secret>> {
        if user.is_some() && password.is_none() && self.was_read(&path.key("password")) {
            self.report.add(&path.key("username"), "needs a password beside it");
        }
        if user.is_some_and(str::is_empty) {
            self.report.add(&path.key("username"), "must not be empty");
        }
        let Some(reference) = password else { return Some(None) };
        let secret = self.sources.secret(reference);
        self.noting(secret, &path.key("password")).map(Some)
    }

    fn topology(&mut self, shape: &Redis, path: &KeyPath) -> Option<Topology> {
        match (&shape.url, &shape.sentinel, &shape.cluster) {
            (Some(url), None, None) => {
                let read = server(url, true).map(|()| Topology::Single { url: url.clone() });
                self.noting(read, &path.key("url"))
            }
            (None, Some(sentinel), None) => {
                let path = path.key("sentinel");
                let urls = self.servers(&sentinel.urls, &path.key("urls"));
                if sentinel.master.is_empty() {
                    self.report.add(&path.key("master"), "must not be empty");
                }
                let username = sentinel.username.clone();
                let password = self.login(username.as_deref(), sentinel.password.as_ref(), &path);
                let (urls, password, master) = (urls?, password?, sentinel.master.clone());
                Some(Topology::Sentinel { urls, master, username, password })
            }
            (None, None, Some(cluster)) => {
                let urls = self.servers(&cluster.urls, &path.key("cluster").key("urls"))?;
                Some(Topology::Cluster { urls })
            }
            (_, _, _) => {
                self.report.add(path, "must have exactly one of url, sentinel and cluster");
                None
            }
        }
    }

    fn servers(&mut self, urls: &[String], path: &KeyPath) -> Option<Vec<String>> {
        let mut good = true;
        for (index, url) in urls.iter().enumerate() {
            good &= self.noting(server(url, false), &path.item(index)).is_some();
        }
        let tls = |url: &&String| url.starts_with("rediss://");
        if good && urls.iter().any(|url| tls(&url)) && !urls.iter().all(|url| tls(&url)) {
            self.report.add(path, "must all begin with rediss://, or none of them");
        }
        good.then(|| urls.to_vec())
    }
}

/// Checks a server's address. The message never repeats it, since it may hold a password.
fn server(url: &str, may_select: bool) -> Result<(), String> {
    let form = if may_select {
        "redis://host:port, rediss://host:port or redis://host:port/0"
    } else {
        "redis://host:port or rediss://host:port"
    };
    let wrong = || format!("must be an address such as {form}");
    if url.contains('@') {
        return Err("must not hold a user or a password: they have the keys username and password"
            .to_owned());
    }
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let known = matches!(uri.scheme_str(), Some("redis" | "rediss"));
    let database = uri.path().trim_start_matches('/');
    let selects = database.is_empty() || (may_select && database.parse::<u16>().is_ok());
    let plain = uri.query().is_none()
        && !url.contains('#')
        && uri.host().is_some_and(|host| !host.is_empty());
    let authority = uri.authority().filter(|_| known && selects && plain).ok_or_else(wrong)?;
    Ok(address::reachable(authority)?)
}
