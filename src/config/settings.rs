//! Checked settings of the gateway, made of each room's own.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use serde_json::Value;

use super::file::File;
use super::secrets::Digests;
use crate::ledger::{OnLoss, OnUnknown, Retention};
use crate::pricing::PriceTable;
use crate::secret::Secret;
use crate::store::{self, Topology};
use crate::team::{Team, TeamId};
use crate::{
    account, admin, catalogue, idempotency, identity, request, server, telemetry, upstream, webhook,
};

/// Checked settings, made only by [`super::load`] and [`super::parse`].
#[derive(Debug)]
pub struct Settings {
    /// Read once, at start.
    pub fixed: FixedSettings,
    /// Replaced by a reload, all at once.
    pub live: LiveSettings,
    /// Warnings: valid, but probably a mistake. One sentence each, with its place in the file.
    pub warnings: Vec<String>,
    pub(super) effective: File,
    /// Every file that was read.
    pub(super) files: Digests,
    /// The files that the configuration names, with their digests.
    pub(super) named: Digests,
}

/// Settings that need a restart to change.
#[derive(Debug)]
pub struct FixedSettings {
    /// The team listener.
    pub server: server::Settings,
    /// Proxies that are trusted to report a caller's address.
    pub trusted_proxies: request::TrustedProxies,
    /// Origins whose pages may call, as a browser names them.
    pub cors_origins: Vec<HeaderValue>,
    /// Address of the operator's listener.
    pub admin_address: SocketAddr,
    /// Bounds of a request.
    pub request: request::Settings,
    /// The ledger and its store.
    pub ledger: LedgerSettings,
    /// Cost of a call with unknown outcome; the ledger's sweep and the settlement must use the
    /// same.
    pub on_unknown: OnUnknown,
    /// How answers of calls are kept.
    pub replay: idempotency::Settings,
    /// Where to report a budget that is nearly used up.
    pub webhook: Option<webhook::Settings>,
    /// Logs and traces.
    pub telemetry: telemetry::Settings,
    /// The drain.
    pub shutdown: ShutdownSettings,
    /// How often the file and the files it names are checked.
    pub reload_poll: Duration,
}

/// Settings that change while the gateway runs.
#[derive(Debug)]
pub struct LiveSettings {
    /// The teams, by name.
    pub teams: HashMap<TeamId, Arc<Team>>,
    /// Prices of models; every team holds the same table.
    pub prices: Arc<PriceTable>,
    /// Who may call.
    pub identity: identity::Settings,
    /// Where calls go, and with which shared keys.
    pub upstream: upstream::Settings,
    /// The public endpoints.
    pub catalogue: catalogue::Settings,
    /// Views of a team's own calls.
    pub account: account::Settings,
    /// The operator's listener; only the tokens are live.
    pub admin: admin::Settings,
}

/// The ledger, with any store.
#[derive(Clone, Debug)]
pub struct LedgerSettings {
    /// The store.
    pub store: Store,
    /// How long a reservation lives unless it is renewed.
    pub reservation_ttl: Duration,
    /// How long records of the past are kept, and how many.
    pub retention: Retention,
    /// What happens to budgets when the store has lost writes.
    pub on_loss: OnLoss,
}

/// A store of the ledger.
#[derive(Clone, Debug)]
pub enum Store {
    /// Redis, shared by all replicas.
    Redis(store::Settings),
    /// A file, for a single process.
    Embedded {
        /// The file.
        path: PathBuf,
    },
}

/// The drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownSettings {
    /// How long calls are still taken after SIGTERM.
    pub delay: Duration,
    /// How long open calls may take to finish after that.
    pub grace: Duration,
}

/// Whole sections of the file whose change needs a restart.
pub(super) const FIXED: [&str; 10] = [
    "/listen",
    "/admin/address",
    "/ledger",
    "/replay",
    "/limits",
    "/pricing/on_unknown",
    "/webhook",
    "/shutdown",
    "/telemetry",
    "/reload",
];

impl Settings {
    /// The same settings, with the files that were read.
    pub(super) fn reading(mut self, files: Digests) -> Self {
        self.files.extend(files);
        self
    }

    /// The settings as the file would have them, with every default. Secrets stay references;
    /// hashes of keys are blanked.
    #[must_use]
    pub const fn effective(&self) -> &File {
        &self.effective
    }

    /// The same as YAML that could be read back.
    ///
    /// # Errors
    /// Errors of the YAML writer, which would be bugs of this program.
    pub fn effective_text(&self) -> Result<String, String> {
        serde_saphyr::to_string(&self.effective).map_err(|error| error.to_string())
    }

    /// Keys that differ in `newer` and need a restart to take effect; empty when a reload can apply
    /// all.
    #[must_use]
    pub fn needs_restart(&self, newer: &Self) -> Vec<String> {
        let (old, new) = (written(&self.effective), written(&newer.effective));
        let mut keys = BTreeSet::new();
        for section in FIXED {
            let path = section.trim_start_matches('/').replace('/', ".");
            differing(&path, old.pointer(section), new.pointer(section), &mut keys);
        }
        if self.fixed.ledger.password() != newer.fixed.ledger.password() {
            keys.insert("ledger.redis.password".to_owned());
        }
        if self.fixed.ledger.sentinel_password() != newer.fixed.ledger.sentinel_password() {
            keys.insert("ledger.redis.sentinel.password".to_owned());
        }
        // The address's query is blanked in the effective file.
        let webhook_url =
            |settings: &Self| settings.fixed.webhook.as_ref().map(|webhook| webhook.url.clone());
        if webhook_url(self) != webhook_url(newer) {
            keys.insert("webhook.url".to_owned());
        }
        let authorization =
            |settings: &Self| settings.fixed.webhook.as_ref()?.authorization.clone();
        if authorization(self) != authorization(newer) {
            keys.insert("webhook.authorization".to_owned());
        }
        let headers =
            |settings: &Self| settings.fixed.telemetry.otlp.clone().map(|otlp| otlp.headers);
        if headers(self) != headers(newer) {
            keys.insert("telemetry.otlp.headers".to_owned());
        }
        keys.into_iter().collect()
    }
}

impl LedgerSettings {
    fn password(&self) -> Option<&Secret> {
        match &self.store {
            Store::Redis(redis) => redis.password.as_ref(),
            Store::Embedded { .. } => None,
        }
    }

    fn sentinel_password(&self) -> Option<&Secret> {
        match &self.store {
            Store::Redis(store::Settings {
                topology: Topology::Sentinel { password, .. }, ..
            }) => password.as_ref(),
            Store::Redis(_) | Store::Embedded { .. } => None,
        }
    }
}

pub(super) fn written(file: &File) -> Value {
    serde_json::to_value(file).unwrap_or_default()
}

fn differing(path: &str, old: Option<&Value>, new: Option<&Value>, keys: &mut BTreeSet<String>) {
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for key in old.keys().chain(new.keys()) {
                differing(&format!("{path}.{key}"), old.get(key), new.get(key), keys);
            }
        }
        (old, new) if old != new => {
            keys.insert(path.to_owned());
        }
        (_, _) => {}
    }
}
