//! What changes while the gateway runs, and how it is replaced: all of it, or nothing.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::watch::Watcher;
use crate::config::{LiveSettings, Settings};
use crate::identity::{Authenticator, KeyRegistry};
use crate::pricing::PriceTable;
use crate::request::Shares;
use crate::team::{Team, TeamId};
use crate::telemetry::Metrics;
use crate::upstream::{self, Upstream};
use crate::{account, admin, catalogue, live};

/// Everything a reload replaces. Clones see the same.
#[derive(Clone)]
pub struct Live {
    /// The teams.
    pub teams: live::Live<HashMap<TeamId, Arc<Team>>>,
    /// Who may call.
    pub directory: live::Live<Authenticator>,
    /// What operators decided while running. The store has it, not the file: a reload only joins it to the new
    /// directory.
    pub register: live::Live<KeyRegistry>,
    /// Where calls go, with whose key.
    pub upstream: live::Live<Upstream>,
    /// What models cost.
    pub prices: live::Live<PriceTable>,
    /// How the catalogue is served.
    pub catalogue: live::Live<catalogue::Settings>,
    /// Whether it is served to everyone.
    pub catalogue_is_public: live::Live<bool>,
    /// How the teams' own views are served.
    pub account: live::Live<account::Settings>,
    /// What of the memory for bodies is each team's.
    pub shares: live::Live<Shares>,
    /// Who may use the operator's API, and what it shows of the configuration.
    pub admin: live::Live<admin::Shown>,
    clock: Clock,
}

/// One version of everything that changes, made before any of it is put in place.
struct Version {
    teams: HashMap<TeamId, Arc<Team>>,
    directory: Authenticator,
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
        register: &Arc<KeyRegistry>,
        before: Option<(&Authenticator, &Upstream)>,
        metrics: &Arc<Metrics>,
        clock: &Clock,
    ) -> Result<Self, String> {
        let LiveSettings { teams, prices, identity, upstream, catalogue, account, admin } = &settings.live;
        let observer = Arc::clone(metrics);
        let directory = before.map(|(directory, _)| directory);
        let directory = Authenticator::new(identity.clone(), teams, register, directory, clock.clone(), observer);
        Ok(Self {
            directory: directory.map_err(|error| error.to_string())?,
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
    /// A sentence for the operator: what cannot be used.
    pub fn new(settings: &Settings, metrics: &Arc<Metrics>, clock: &Clock) -> Result<Self, String> {
        let register = live::Live::new(KeyRegistry::default());
        let version = Version::new(settings, &register.read(), None, metrics, clock)?;
        know(metrics, &version);
        let shares = Shares::of(&version.teams, None);
        Ok(Self {
            teams: live::Live::new(version.teams),
            directory: live::Live::new(version.directory),
            register,
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

    /// Puts another version in place. What cannot be made leaves everything as it is.
    fn replace(&self, settings: &Settings, metrics: &Arc<Metrics>) -> Result<(), String> {
        let (directory, upstream) = (self.directory.read(), self.upstream.read());
        let version =
            Version::new(settings, &self.register.read(), Some((&directory, &upstream)), metrics, &self.clock)?;
        know(metrics, &version);
        self.shares.replace(Shares::of(&version.teams, Some(&self.shares.read())));
        self.teams.replace(version.teams);
        self.upstream.replace(version.upstream);
        self.prices.replace(version.prices);
        self.catalogue_is_public.replace(version.catalogue.public);
        self.catalogue.replace(version.catalogue);
        self.account.replace(version.account);
        self.admin.replace(version.admin);
        self.directory.replace(version.directory);
        // The register may have been read anew while the directory was made.
        self.directory.read().take_up(&self.register);
        Ok(())
    }
}

/// Says what of a configuration can hardly be meant.
pub(super) fn warn(settings: &Settings) {
    for warning in &settings.warnings {
        tracing::warn!(warning, "something in the configuration is probably a mistake");
    }
}

/// Shows the teams and the keys of a version before it is in force: nothing it counts begins without a zero.
fn know(metrics: &Metrics, version: &Version) {
    metrics.register_teams(version.teams.values().map(Arc::as_ref));
    for key in version.upstream.keys.iter() {
        upstream::Observer::key_healthy(metrics, &key.name, key.is_accepted(version.now));
    }
}

/// The file the settings came from, when they came from one, and the settings as they were read last.
pub struct Followed {
    /// Watches the file.
    pub watcher: Watcher,
    /// What was read last.
    pub settings: Settings,
}

/// Keeps the issuers' keys fresh and, when there is a file, the settings as the file has them, until told to stop.
pub async fn keep(live: Live, followed: Option<Followed>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut fresh = keep_keys_fresh(&live, &stop);
    let Some(Followed { mut watcher, mut settings }) = followed else { return stop.cancelled().await };
    loop {
        let read = tokio::select! {
            () = stop.cancelled() => return,
            read = watcher.next() => read,
        };
        let newer = read.map_err(|problems| problems.to_string());
        match newer.and_then(|newer| live.replace(&newer, &metrics).map(|()| newer)) {
            Ok(newer) => {
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

/// One task per directory in use reads the issuers' keys again and again.
fn keep_keys_fresh(live: &Live, stop: &CancellationToken) -> CancellationToken {
    let (directory, cancel) = (live.directory.read(), stop.child_token());
    let ended = cancel.clone();
    tokio::spawn(async move { directory.keep_key_sets_fresh(ended).await });
    cancel
}
