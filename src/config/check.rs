//! Turns the shapes of the file into valid settings. Every check notes its problems and goes on, so
//! that one run reports all; `None` means that a problem was noted.

mod identity;
mod ledger;
mod listeners;
mod pricing;
mod team;
mod telemetry;
mod upstream;
mod webhook;

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use jiff::tz::TimeZone;

use super::address;
use super::explain;
use super::file::{CreditsText, DurationText, File, Reference, ShareText, SizeText};
use super::report::{KeyPath, Report};
use super::secrets::{Digests, Sources};
use super::settings::{FixedSettings, LiveSettings, Settings};
use super::units;
use crate::account;
use crate::credits::Credits;
use crate::pricing::PriceTable;
use crate::secret::Secret;
use crate::team::Share;
use crate::trust;

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// Separates an absent value from one that was checked and found wrong: the outer `None` means
/// wrong, and was noted.
#[allow(clippy::option_option)]
pub(super) fn optional<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(checked) => checked.map(Some),
    }
}

/// State shared by all checks: the report, the sources of references, and the names that may be
/// referred to.
pub(super) struct Check<'a> {
    pub(super) report: Report,
    pub(super) sources: Sources<'a>,
    team_names: BTreeSet<String>,
    /// The price table, checked before teams and keys, whose models should have a price.
    priced: Option<Arc<PriceTable>>,
}

impl<'a> Check<'a> {
    pub(super) fn new(file: &File, report: Report, sources: Sources<'a>) -> Self {
        Self { report, sources, team_names: file.teams.keys().cloned().collect(), priced: None }
    }

    /// Checks the whole file. The caller fills in the settings' list of files.
    pub(super) fn settings(&mut self, file: File) -> Option<Settings> {
        let root = KeyPath::root();
        let fixed = self.fixed(&file, &root);
        let zone = self.time_zone(&file.time_zone, &root.key("time_zone"));
        let prices = self.prices(&file.pricing, &root.key("pricing")).map(Arc::new);
        self.priced = prices.clone();
        let mut teams = HashMap::new();
        for (name, shape) in &file.teams {
            let path = root.key("teams").key(name);
            let team = self.team(name, shape, &path, zone.as_ref(), prices.as_ref());
            teams.extend(team.map(|team| (team.id.clone(), Arc::new(team))));
        }
        let identity = self.identity(&file.identity, &root.key("identity"));
        let upstream = self.upstream(&file.upstream, &file.queue, &root);
        let catalogue = self.catalogue(&file.catalogue, &root.key("catalogue"));
        let account = account::Settings::new(file.account.requests_per_minute);
        let admin = self.admin(&file.admin, &root.key("admin"));
        let (prices, identity, upstream, catalogue, admin) =
            (prices?, identity?, upstream?, catalogue?, admin?);
        Some(Settings {
            fixed: fixed?,
            live: LiveSettings { teams, prices, identity, upstream, catalogue, account, admin },
            warnings: Vec::new(),
            effective: effective(file),
            files: Digests::new(),
            named: Digests::new(),
        })
    }

    fn fixed(&mut self, file: &File, root: &KeyPath) -> Option<FixedSettings> {
        let request = self.request(&file.limits, &root.key("limits"));
        let server = self.server(&file.listen, &file.limits, request.as_ref(), root);
        let trusted_proxies = self.trusted_proxies(&file.listen, &root.key("listen"));
        let cors_origins = self.cors_origins(&file.listen.cors, &root.key("listen").key("cors"));
        let admin_address = self.admin_address(&file.listen, &file.admin, root);
        let ledger = self.ledger(&file.ledger, &root.key("ledger"));
        let replay = self.replay(&file.replay, &root.key("replay"));
        let webhook = file.webhook.as_ref().map(|shape| self.webhook(shape, &root.key("webhook")));
        let telemetry = self.telemetry(&file.telemetry, &root.key("telemetry"));
        let shutdown = self.shutdown(&file.shutdown, &root.key("shutdown"));
        let poll = 10 * MILLISECOND..=HOUR;
        let reload_poll = self.duration(&file.reload.poll, &root.key("reload").key("poll"), poll);
        Some(FixedSettings {
            server: server?,
            trusted_proxies: trusted_proxies?,
            cors_origins: cors_origins?,
            admin_address: admin_address?,
            request: request?,
            ledger: ledger?,
            on_unknown: file.pricing.on_unknown,
            replay: replay?,
            webhook: optional(webhook)?,
            telemetry: telemetry?,
            shutdown: shutdown?,
            reload_poll: reload_poll?,
        })
    }

    fn duration(
        &mut self,
        text: &DurationText,
        path: &KeyPath,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let read = units::duration(&text.0).and_then(|read| {
            let (least, most) =
                (units::written_duration(*range.start()), units::written_duration(*range.end()));
            if range.contains(&read) {
                Ok(read)
            } else {
                Err(format!("must be from {least} to {most}, not {}", text.0))
            }
        });
        self.noting(read, path)
    }

    fn size(&mut self, text: &SizeText, path: &KeyPath, range: RangeInclusive<u64>) -> Option<u64> {
        let read = units::size(&text.0).and_then(|read| {
            let (least, most) =
                (units::written_size(*range.start()), units::written_size(*range.end()));
            if range.contains(&read) {
                Ok(read)
            } else {
                Err(format!("must be from {least} to {most}, not {}", text.0))
            }
        });
        self.noting(read, path)
    }

    fn credits(&mut self, text: &CreditsText, path: &KeyPath) -> Option<Credits> {
        let read = text.0.parse::<Credits>().map_err(|wrong| format!("{wrong}, not {:?}", text.0));
        self.noting(read, path)
    }

    fn time_zone(&mut self, name: &str, path: &KeyPath) -> Option<TimeZone> {
        if name == "UTC" {
            return Some(TimeZone::UTC);
        }
        let wrong = |_| format!("must be a time zone such as UTC or Europe/Berlin, not {name:?}");
        self.noting(TimeZone::get(name).map_err(wrong), path)
    }

    /// Checks a name for logs, labels and audit lines.
    fn name(&mut self, name: &str, path: &KeyPath) -> Option<String> {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let read = if plain && (1..=64).contains(&name.len()) {
            Ok(name.to_owned())
        } else {
            Err(format!("must be 1 to 64 letters, digits, '.', '_' and '-', not {name:?}"))
        };
        self.noting(read, path)
    }

    /// Checks an address: https, or http on this machine.
    fn web_address(&mut self, text: &str, path: &KeyPath) -> Option<Uri> {
        let read = web_address(text).map_err(str::to_owned);
        self.noting(read, path)
    }

    /// Checks the address of one page, which may have a query.
    fn page_address(&mut self, text: &str, path: &KeyPath) -> Option<Uri> {
        let read = page_address(text).map_err(str::to_owned);
        self.noting(read, path)
    }

    /// Checks a share of a whole.
    fn share(&mut self, text: &ShareText, path: &KeyPath) -> Option<Share> {
        let read = text.0.parse::<Share>().map_err(|wrong| format!("{wrong}, not {:?}", text.0));
        self.noting(read, path)
    }

    /// Checks a secret that is sent as the value of a header.
    fn header_value(&mut self, reference: &Reference, path: &KeyPath) -> Option<Secret> {
        let secret = self.sources.secret(reference).and_then(|secret| {
            let sendable =
                secret.expose().bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
            if sendable {
                Ok(secret)
            } else {
                Err("must lead to one line of visible ASCII".to_owned())
            }
        });
        self.noting(secret, path)
    }

    /// Reads certificate authorities from a file; outer `None`: it is wrong, inner `None`: none is
    /// given.
    #[allow(clippy::option_option)]
    fn authorities(&mut self, file: Option<&str>, path: &KeyPath) -> Option<Option<Arc<[u8]>>> {
        let Some(file) = file else { return Some(None) };
        let read = self.sources.content(file).and_then(|(found, pem)| {
            let wrong =
                |error| format!("{} holds no certificate authorities: {error}", found.display());
            trust::read(&pem).map(|_| Arc::from(pem.as_slice())).map_err(wrong)
        });
        self.noting(read, path).map(Some)
    }

    /// Checks the name of a team, which must be in the file.
    fn known_team(&mut self, name: &str, path: &KeyPath) -> Option<crate::team::TeamId> {
        if !self.team_names.contains(name) {
            if self.was_read(&KeyPath::root().key("teams")) || !self.team_names.is_empty() {
                let message =
                    explain::no_such("team", name, self.team_names.iter().map(String::as_str));
                self.report.add(path, message);
            }
            return None;
        }
        crate::team::TeamId::parse(name)
    }

    /// Notes a name that occurs twice.
    fn distinct<'n>(
        &mut self,
        seen: &mut BTreeSet<&'n str>,
        name: &'n str,
        what: &str,
        path: &KeyPath,
    ) {
        if !seen.insert(name) {
            self.report.add(path, format!("{name:?} is taken by another {what} already"));
        }
    }

    /// Whether a key's value was read. If not, its problem was noted, and what would follow from it
    /// is not.
    fn was_read(&self, path: &KeyPath) -> bool {
        !self.report.is_left_out(path)
    }

    fn noting<T>(&mut self, read: Result<T, String>, path: &KeyPath) -> Option<T> {
        read.map_err(|message| self.report.add(path, message)).ok()
    }
}

const NO_ADDRESS: &str = "must be an address such as https://host/path";

fn page_address(text: &str) -> Result<Uri, &'static str> {
    if text.contains('#') {
        return Err("must not have a fragment");
    }
    web_address(text.split_once('?').map_or(text, |(page, _)| page))?;
    text.parse().map_err(|_| NO_ADDRESS)
}

fn web_address(text: &str) -> Result<Uri, &'static str> {
    let uri = any_address(text)?;
    match uri.scheme_str() {
        Some("http") if !is_this_machine(uri.host().unwrap_or_default()) => {
            Err("must begin with https://; http:// is only for this machine (localhost, \
                 127.0.0.1, [::1])")
        }
        Some(_) | None => Ok(uri),
    }
}

/// An address without a query, also in the clear.
fn any_address(text: &str) -> Result<Uri, &'static str> {
    let uri: Uri = text.strip_suffix('/').unwrap_or(text).parse().map_err(|_| NO_ADDRESS)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(NO_ADDRESS);
    };
    if authority.as_str().contains('@') {
        return Err("must not hold a user or a password");
    }
    address::reachable(authority)?;
    if text.contains(['?', '#']) {
        return Err("must not have a query or a fragment");
    }
    address::plain_path(uri.path())?;
    if ["https", "http"].contains(&scheme) { Ok(uri) } else { Err(NO_ADDRESS) }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The file with every default filled in and secrets left out.
fn effective(mut file: File) -> File {
    for team in file.teams.values_mut() {
        team.time_zone.get_or_insert_with(|| file.time_zone.clone());
    }
    for key in &mut file.identity.keys {
        "[hash]".clone_into(&mut key.sha256);
    }
    let issuers = file.identity.issuers.iter_mut().filter_map(|issuer| issuer.jwks.url.as_mut());
    for url in issuers.chain(file.webhook.as_mut().map(|webhook| &mut webhook.url)) {
        blank_query(url);
    }
    file
}

/// Blanks a query, which may be a secret: some services take their token there.
fn blank_query(url: &mut String) {
    if let Some(start) = url.find('?') {
        url.replace_range(start + 1.., "[query]");
    }
}
