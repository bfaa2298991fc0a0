//! Settings that change at run time: a reload replaces all or none.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::watch::Watcher;
use crate::config::{Change, LiveSettings, Settings, changes};
use crate::identity::{Authenticator, KeyRegistry};
use crate::pricing::PriceTable;
use crate::request::Shares;
use crate::server::Server;
use crate::team::{Team, TeamId};
use crate::telemetry::audit_log::FileChange;
use crate::telemetry::{AuditLog, Metrics};
use crate::upstream::{self, Upstream};
use crate::{account, admin, catalogue, live};

/// Everything that a reload replaces. Clones share it.
#[derive(Clone)]
pub struct Live {
    /// The teams.
    pub teams: live::Live<HashMap<TeamId, Arc<Team>>>,
    /// The authenticator of callers.
    pub authenticator: live::Live<Authenticator>,
    /// Keys and suspensions that operators changed. They come from the store; a reload only joins
    /// them to the new authenticator.
    pub registry: live::Live<KeyRegistry>,
    /// Where calls go, and with which shared keys.
    pub upstream: live::Live<Upstream>,
    /// Prices of models.
    pub prices: live::Live<PriceTable>,
    /// Settings of the catalogue.
    pub catalogue: live::Live<catalogue::Settings>,
    /// Whether the catalogue is public.
    pub catalogue_is_public: live::Live<bool>,
    /// Settings of the views of a team's account.
    pub account: live::Live<account::Settings>,
    /// The teams' shares of the memory for bodies.
    pub shares: live::Live<Shares>,
    /// Operators' tokens, and the parts of the configuration that the API shows.
    pub admin: live::Live<admin::Shown>,
    clock: Clock,
}

/// One version of these settings, complete before any of it is in force.
struct Version {
    teams: HashMap<TeamId, Arc<Team>>,
    authenticator: Authenticator,
    upstream: Upstream,
    prices: PriceTable,
    catalogue: catalogue::Settings,
    account: account::Settings,
    admin: admin::Shown,
    now: Timestamp,
}

impl Version {
    fn new(
        settings: &Settings,
        registry: &Arc<KeyRegistry>,
        before: Option<(&Authenticator, &Upstream)>,
        metrics: &Arc<Metrics>,
        clock: &Clock,
    ) -> Result<Self, String> {
        let LiveSettings { teams, prices, identity, upstream, catalogue, account, admin } =
            &settings.live;
        let observer = Arc::clone(metrics);
        let authenticator = before.map(|(authenticator, _)| authenticator);
        let authenticator = Authenticator::new(
            identity.clone(),
            teams,
            registry,
            authenticator,
            clock.clone(),
            observer,
        );
        Ok(Self {
            authenticator: authenticator.map_err(|error| error.to_string())?,
            upstream: Upstream::new(upstream.clone(), before.map(|(_, upstream)| upstream))?,
            teams: teams.clone(),
            prices: PriceTable::clone(prices),
            catalogue: catalogue.clone(),
            account: account.clone(),
            admin: admin::Shown {
                tokens: admin.tokens.clone(),
                configuration: settings.effective_text()?,
                hosts: admin.hosts.clone(),
                throttle: identity.throttle,
            },
            now: clock.now(),
        })
    }
}

impl Live {
    /// The first version.
    ///
    /// # Errors
    /// What cannot be used, as a sentence for the operator.
    pub fn new(settings: &Settings, metrics: &Arc<Metrics>, clock: &Clock) -> Result<Self, String> {
        let registry = live::Live::new(KeyRegistry::default());
        let version = Version::new(settings, &registry.read(), None, metrics, clock)?;
        know(metrics, &version);
        let shares = Shares::of(&version.teams, None);
        Ok(Self {
            teams: live::Live::new(version.teams),
            authenticator: live::Live::new(version.authenticator),
            registry,
            upstream: live::Live::new(version.upstream),
            prices: live::Live::new(version.prices),
            catalogue_is_public: live::Live::new(version.catalogue.public),
            catalogue: live::Live::new(version.catalogue),
            account: live::Live::new(version.account),
            shares: live::Live::new(shares),
            admin: live::Live::new(version.admin),
            clock: clock.clone(),
        })
    }

    /// Puts another version in force; changes nothing if it cannot be built.
    fn replace(&self, settings: &Settings, metrics: &Arc<Metrics>) -> Result<(), String> {
        let (authenticator, upstream) = (self.authenticator.read(), self.upstream.read());
        let version = Version::new(
            settings,
            &self.registry.read(),
            Some((&authenticator, &upstream)),
            metrics,
            &self.clock,
        )?;
        know(metrics, &version);
        self.shares.replace(Shares::of(&version.teams, Some(&self.shares.read())));
        self.teams.replace(version.teams);
        self.upstream.replace(version.upstream);
        self.prices.replace(version.prices);
        self.catalogue_is_public.replace(version.catalogue.public);
        self.catalogue.replace(version.catalogue);
        self.account.replace(version.account);
        self.admin.replace(version.admin);
        self.authenticator.replace(version.authenticator);
        // The registry may have been read while the authenticator was built.
        self.authenticator.read().take_up(&self.registry);
        Ok(())
    }
}

/// Logs warnings about a configuration.
pub(super) fn warn(settings: &Settings) {
    for warning in &settings.warnings {
        tracing::warn!(warning, "something in the configuration is probably a mistake");
    }
}

/// Registers the teams and keys of a version in the metrics before it is in force, so that their
/// counters start at zero.
fn know(metrics: &Metrics, version: &Version) {
    metrics.register_teams(version.teams.values().map(Arc::as_ref));
    for key in version.upstream.keys.iter() {
        upstream::Observer::key_healthy(metrics, &key.name, key.is_accepted(version.now));
    }
}

/// The file that the settings were loaded from, and the settings as last read.
pub struct Followed {
    /// The watcher of the file.
    pub watcher: Watcher,
    /// The settings as last read.
    pub settings: Settings,
}

/// Keeps the issuers' keys fresh and, if there is a file, reloads it, until stopped.
pub async fn keep(
    live: Live,
    followed: Option<Followed>,
    server: Server,
    metrics: Arc<Metrics>,
    audit_log: AuditLog,
    stop: CancellationToken,
) {
    let mut fresh = keep_keys_fresh(&live, &stop);
    let Some(Followed { mut watcher, mut settings }) = followed else {
        return stop.cancelled().await;
    };
    loop {
        let read = tokio::select! {
            () = stop.cancelled() => return,
            read = watcher.next() => read,
        };
        let newer = read.map_err(|problems| problems.to_string());
        let replaced = newer.and_then(|newer| {
            let certificate =
                server.renewed().map_err(|error| format!("listen.tls cannot be used: {error}"))?;
            live.replace(&newer, &metrics)?;
            Ok((newer, certificate))
        });
        match replaced {
            Ok((newer, certificate)) => {
                certificate.into_iter().for_each(|certificate| server.show(certificate));
                for change in changes(&settings, &newer) {
                    let Change { subject, before, after } = &change;
                    let at = live.clock.now();
                    audit_log.by_file(&FileChange { at, subject, before, after });
                }
                for key in settings.needs_restart(&newer) {
                    tracing::warn!(key, "this change of the configuration needs a restart");
                }
                settings = newer;
                fresh.cancel();
                fresh = keep_keys_fresh(&live, &stop);
                warn(&settings);
                metrics.reloaded(Ok(live.clock.now()));
                tracing::info!("the configuration was reloaded");
            }
            Err(problems) => {
                metrics.reloaded(Err(()));
                tracing::error!(problems, "the configuration was not reloaded: the old one stays");
            }
        }
    }
}

/// Starts the task that keeps the issuers' keys of the current authenticator fresh.
fn keep_keys_fresh(live: &Live, stop: &CancellationToken) -> CancellationToken {
    let (authenticator, cancel) = (live.authenticator.read(), stop.child_token());
    let ended = cancel.clone();
    tokio::spawn(async move { authenticator.keep_key_sets_fresh(ended).await });
    cancel
}
