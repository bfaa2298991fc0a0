//! Checks of token issuers, and of gateway keys in the file.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Check, DAY, SECOND, optional};
use crate::config::file::identity::{Identity, Issuer, Jwks, Key, Throttle};
use crate::config::report::KeyPath;
use crate::identity::settings::{ClaimPath, IssuerSettings, KeySettings, KeySource, Settings};
use crate::identity::{SecretHash, throttle};
use crate::printable;
use crate::team::{KeyId, TeamId};

impl Check<'_> {
    pub(super) fn identity(&mut self, shape: &Identity, path: &KeyPath) -> Option<Settings> {
        let mut seen = BTreeSet::new();
        let mut issuers = Vec::new();
        for (index, shape) in shape.issuers.iter().enumerate() {
            let path = path.key("issuers").item(index);
            self.distinct(&mut seen, &shape.issuer, "issuer", &path.key("issuer"));
            issuers.extend(self.issuer(shape, &path));
        }
        let mut seen = BTreeSet::new();
        let mut keys = Vec::new();
        for (index, shape) in shape.keys.iter().enumerate() {
            let path = path.key("keys").item(index);
            self.distinct(&mut seen, &shape.id, "key", &path.key("id"));
            keys.extend(self.gateway_key(shape, &path));
        }
        let throttle = self.throttle(&shape.throttle, &path.key("throttle"));
        Some(Settings { issuers, keys, throttle: throttle? })
    }

    fn throttle(&mut self, shape: &Throttle, path: &KeyPath) -> Option<throttle::Settings> {
        let within = self.duration(&shape.within, &path.key("within"), SECOND..=DAY);
        let slow_by =
            self.duration(&shape.slow_by, &path.key("slow_by"), Duration::ZERO..=10 * SECOND);
        let refuse_for = self.duration(&shape.refuse_for, &path.key("refuse_for"), SECOND..=DAY);
        let failures = shape.failures;
        Some(throttle::Settings {
            failures,
            within: within?,
            slow_by: slow_by?,
            refuse_for: refuse_for?,
        })
    }

    fn issuer(&mut self, shape: &Issuer, path: &KeyPath) -> Option<IssuerSettings> {
        if shape.issuer.is_empty() || shape.issuer.chars().any(char::is_control) {
            self.report.add(&path.key("issuer"), "must be what the tokens say in iss");
        }
        self.trimmed(&shape.issuer, &path.key("issuer"));
        for (index, audience) in
            shape.audiences.iter().enumerate().filter(|(_, audience)| audience.is_empty())
        {
            self.report.add(
                &path.key("audiences").item(index),
                format!("must not be empty, as {audience:?} is"),
            );
        }
        for (index, audience) in shape.audiences.iter().enumerate() {
            self.trimmed(audience, &path.key("audiences").item(index));
        }
        let keys = self.key_source(&shape.issuer, &shape.jwks, path);
        let authorities = self.authorities(shape.ca_file.as_deref(), &path.key("ca_file"));
        let refresh = Duration::from_secs(30)..=DAY;
        let refresh = self.duration(&shape.refresh, &path.key("refresh"), refresh);
        let max_stale = Duration::from_secs(30)..=30 * DAY;
        let max_stale = self.duration(&shape.max_stale, &path.key("max_stale"), max_stale);
        if refresh.zip(max_stale).is_some_and(|(refresh, max_stale)| max_stale < refresh) {
            self.report.add(&path.key("max_stale"), "must not be shorter than refresh");
        }
        let leeway = self.duration(
            &shape.leeway,
            &path.key("leeway"),
            Duration::ZERO..=IssuerSettings::LEEWAY_MAX,
        );
        let age = Duration::from_secs(1)..=365 * DAY;
        let max_token_age = shape
            .max_token_age
            .as_ref()
            .map(|text| self.duration(text, &path.key("max_token_age"), age));
        let team_claim = self.claim(&shape.team_claim, &path.key("team_claim"));
        let user_claim = self.claim(&shape.user_claim, &path.key("user_claim"));
        let teams = self.claimed_teams(shape, &path.key("teams"));
        Some(IssuerSettings {
            issuer: Arc::from(shape.issuer.as_str()),
            audiences: shape.audiences.clone(),
            algorithms: shape.algorithms.clone(),
            keys: keys?,
            authorities: authorities?,
            refresh: refresh?,
            max_stale: max_stale?,
            leeway: leeway?,
            max_token_age: optional(max_token_age)?,
            team_claim: team_claim?,
            user_claim: user_claim?,
            teams,
        })
    }

    fn key_source(&mut self, issuer: &str, jwks: &Jwks, path: &KeyPath) -> Option<KeySource> {
        let below = path.key("jwks");
        match (jwks.discovery, &jwks.url, &jwks.file) {
            (Some(true), None, None) => {
                // The issuer's own address is asked for its keys, so it must be a URL.
                self.web_address(issuer, &path.key("issuer")).map(|_| KeySource::Discovery)
            }
            (Some(false), None, None) => {
                self.report.add(
                    &below.key("discovery"),
                    "must be true, or left out when url or file is given",
                );
                None
            }
            (None, Some(url), None) => {
                self.page_address(url, &below.key("url")).map(|_| KeySource::Url(url.clone()))
            }
            (None, None, Some(file)) => Some(KeySource::File(self.key_set_file(file))),
            (_, _, _) => {
                self.report.add(&below, "must have exactly one of discovery, url and file");
                None
            }
        }
    }

    /// A key set is read by the issuer that uses it: one that cannot be read affects only that
    /// issuer (`moongate check` reports it). It is read here so that a change to it is noticed.
    fn key_set_file(&mut self, written: &str) -> PathBuf {
        let _ = self.sources.content(written);
        self.sources.path(written)
    }

    /// Checks that a name has no white space or invisible characters at its ends.
    fn trimmed(&mut self, name: &str, path: &KeyPath) {
        if !printable::is_trimmed(name) {
            self.report
                .add(path, format!("must not begin or end with white space, as {name:?} does"));
        }
    }

    fn claim(&mut self, text: &str, path: &KeyPath) -> Option<ClaimPath> {
        let wrong =
            || format!("must be a JSON pointer such as /sub or /realm/groups, not {text:?}");
        self.noting(ClaimPath::parse(text).ok_or_else(wrong), path)
    }

    fn claimed_teams(&mut self, shape: &Issuer, path: &KeyPath) -> HashMap<String, TeamId> {
        if shape.teams.is_empty() {
            self.report.add(path, "must name at least one value of the team claim and its team");
        }
        let mut teams = HashMap::new();
        for (value, team) in &shape.teams {
            teams.extend(self.known_team(team, &path.key(value)).map(|team| (value.clone(), team)));
        }
        teams
    }

    fn gateway_key(&mut self, shape: &Key, path: &KeyPath) -> Option<KeySettings> {
        let wrong = || format!("must be {} letters and digits, not {:?}", KeyId::BYTES, shape.id);
        let id = self.noting(KeyId::parse(&shape.id).ok_or_else(wrong), &path.key("id"));
        // Does not repeat the value, which may be the key itself in the wrong place.
        let wrong = || {
            "must be 64 hexadecimal digits: the SHA-256 of the key's secret, never the key"
                .to_owned()
        };
        let sha256 = self
            .noting(SecretHash::parse_hex(&shape.sha256).ok_or_else(wrong), &path.key("sha256"));
        let team = self.known_team(&shape.team, &path.key("team"));
        if shape.name.is_empty()
            || shape.name.len() > 128
            || shape.name.chars().any(char::is_control)
        {
            self.report.add(&path.key("name"), "must be 1 to 128 bytes without control characters");
        }
        let user = shape.user.as_ref().map(|user| self.user(user, &path.key("user")));
        for (key, name) in [("name", Some(&shape.name)), ("user", shape.user.as_ref())] {
            self.trimmed(name.map(String::as_str).unwrap_or_default(), &path.key(key));
        }
        let expires_at = shape.expires_at.as_ref().map(|text| {
            let wrong = |_| format!("must be a moment such as 2027-01-31T00:00:00Z, not {text:?}");
            self.noting(text.parse::<Timestamp>().map_err(wrong), &path.key("expires_at"))
        });
        let models =
            shape.models.as_ref().map(|rules| self.model_rules(rules, &path.key("models")));
        let limits = self.limits(&shape.limits, &path.key("limits"));
        Some(KeySettings {
            id: id?,
            sha256: sha256?,
            team: team?,
            name: shape.name.clone(),
            user: optional(user)?,
            expires_at: optional(expires_at)?,
            models: optional(models)?.map(Arc::new),
            limits: limits.map(|limits| (!limits.is_empty()).then(|| Arc::new(limits)))?,
        })
    }
}
