//! What the gateway runs on: settings that have been checked, made of what each room asks for.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::file::File;
use super::secrets::Digests;
use crate::ledger::{OnLoss, OnUnknown, Retention};
use crate::pricing::PriceTable;
use crate::secret::Secret;
use crate::store::{self, Topology};
use crate::team::{Team, TeamId};
use crate::{account, admin, catalogue, idempotency, identity, request, server, telemetry, upstream, webhook};

/// Checked settings. They can only be made by [`super::load`] and [`super::parse`].
#[derive(Debug)]
pub struct Settings {
    /// What is read once, at start.
    pub fixed: FixedSettings,
    /// What a reload replaces, all of it at once.
    pub live: LiveSettings,
    /// What is allowed, but can hardly be meant: a sentence each, with its place in the file.
    pub warnings: Vec<String>,
    pub(super) effective: File,
    pub(super) files: Digests,
}

/// Settings that are read once: a change of them needs a restart.
#[derive(Debug)]
pub struct FixedSettings {
    /// The team listener.
    pub server: server::Settings,
    /// Whose word counts for where a request comes from.
    pub trusted_proxies: request::TrustedProxies,
    /// Where the operator's listener listens.
    pub admin_address: SocketAddr,
    /// The bounds of a request.
    pub request: request::Settings,
    /// Where spending is counted.
    pub ledger: LedgerSettings,
    /// What a call of unknown outcome costs; the ledger's sweep and the settlement must agree on it.
    pub on_unknown: OnUnknown,
    /// What is remembered of calls.
    pub replay: idempotency::Settings,
    /// Who is told that a budget is nearly used up.
    pub webhook: Option<webhook::Settings>,
    /// What the gateway says about itself.
    pub telemetry: telemetry::Settings,
    /// How the gateway stops.
    pub shutdown: ShutdownSettings,
    /// How often the file and the files it names are looked at.
    pub reload_poll: Duration,
}

/// Settings that change while the gateway runs.
#[derive(Debug)]
pub struct LiveSettings {
    /// The teams, by name.
    pub teams: HashMap<TeamId, Arc<Team>>,
    /// What models cost; every team holds the same table.
    pub prices: Arc<PriceTable>,
    /// Who may call.
    pub identity: identity::Settings,
    /// Where calls go, and with whose key.
    pub upstream: upstream::Settings,
    /// The public endpoints.
    pub catalogue: catalogue::Settings,
    /// The teams' own views.
    pub account: account::Settings,
    /// The operator's listener; only the tokens are live.
    pub admin: admin::Settings,
}

/// The ledger, whichever store it has.
#[derive(Clone, Debug)]
pub struct LedgerSettings {
    /// Which store.
    pub store: Store,
    /// How long a reservation lives unless it is renewed.
    pub reservation_ttl: Duration,
    /// How long the past is kept, and how much of it.
    pub retention: Retention,
    /// What becomes of budgets of which the store has lost something.
    pub on_loss: OnLoss,
}

/// A store of the ledger.
#[derive(Clone, Debug)]
pub enum Store {
    /// Redis, shared by all replicas.
    Redis(store::Settings),
    /// A file of this process.
    Embedded {
        /// The file.
        path: PathBuf,
    },
}

/// How the gateway stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownSettings {
    /// How long calls are still taken after SIGTERM.
    pub delay: Duration,
    /// How long open calls may take to finish after that.
    pub grace: Duration,
}

/// The keys of the file whose change needs a restart, as far as they are whole sections.
const FIXED: [&str; 10] = [
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
    /// The same settings, of a file that was itself read from somewhere.
    pub(super) fn reading(mut self, files: Digests) -> Self {
        self.files.extend(files);
        self
    }

    /// The settings as the file would write them, every default filled in. Secrets stay references; hashes of keys are
    /// blanked.
    #[must_use]
    pub const fn effective(&self) -> &File {
        &self.effective
    }

    /// The same as text, for people: YAML that could be read back.
    ///
    /// # Errors
    /// What the writer says; a shape that cannot be written is a mistake in this program.
    pub fn effective_text(&self) -> Result<String, String> {
        serde_saphyr::to_string(&self.effective).map_err(|error| error.to_string())
    }

    /// The keys that differ in `newer` and need a restart to take effect; empty when it can replace these settings
    /// whole.
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
        // Its query is blanked in what is shown.
        let webhook_url = |settings: &Self| settings.fixed.webhook.as_ref().map(|webhook| webhook.url.clone());
        if webhook_url(self) != webhook_url(newer) {
            keys.insert("webhook.url".to_owned());
        }
        let authorization = |settings: &Self| settings.fixed.webhook.as_ref()?.authorization.clone();
        if authorization(self) != authorization(newer) {
            keys.insert("webhook.authorization".to_owned());
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
            Store::Redis(store::Settings { topology: Topology::Sentinel { password, .. }, .. }) => password.as_ref(),
            Store::Redis(_) | Store::Embedded { .. } => None,
        }
    }
}

fn written(file: &File) -> Value {
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
