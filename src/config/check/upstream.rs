//! Checks of the upstream: its address, the shared keys, timeouts.

use std::collections::BTreeSet;

use super::{Check, DAY, HOUR, MILLISECOND, optional};
use crate::config::file::upstream::{
    AccountLimits, Breaker, Key, Protocol, Queue, Reconcile, Upstream,
};
use crate::config::report::KeyPath;
use crate::permits::Allowance;
use crate::upstream::settings::{self, KeySettings, Settings};
use crate::upstream::{breaker, queue, reconcile};

impl Check<'_> {
    pub(super) fn upstream(
        &mut self,
        shape: &Upstream,
        queue: &Queue,
        root: &KeyPath,
    ) -> Option<Settings> {
        let path = &root.key("upstream");
        let queue = self.queue(queue, &root.key("queue"));
        let base_url = self.web_address(&shape.base_url, &path.key("base_url"));
        let keys = self.shared_keys(&shape.keys, &path.key("keys"));
        let ca_file = shape.ca_file.as_ref().map(|file| {
            let content = self.sources.content(file).map(|(path, _)| path);
            self.noting(content, &path.key("ca_file"))
        });
        let reconcile =
            shape.reconcile.as_ref().map(|shape| self.reconcile(shape, &path.key("reconcile")));
        let breaker = shape.breaker.as_ref().map(|shape| self.breaker(shape, &path.key("breaker")));
        let timeouts = MILLISECOND..=HOUR;
        let connect_timeout =
            self.duration(&shape.connect_timeout, &path.key("connect_timeout"), timeouts.clone());
        let answer_timeout =
            self.duration(&shape.answer_timeout, &path.key("answer_timeout"), timeouts.clone());
        let idle_timeout = self.duration(&shape.idle_timeout, &path.key("idle_timeout"), timeouts);
        let answer_bytes_max =
            self.size(&shape.answer_bytes_max, &path.key("answer_bytes_max"), 1024..=1 << 30);
        Some(Settings {
            base_url: base_url?,
            keys,
            limits: allowance(&shape.limits),
            queue: queue?,
            reconcile: optional(reconcile)?,
            breaker: optional(breaker)?,
            protocol: match shape.protocol {
                Protocol::Auto => settings::Protocol::Auto,
                Protocol::Http1 => settings::Protocol::Http1,
                Protocol::Http2 => settings::Protocol::Http2,
            },
            ca_file: optional(ca_file)?,
            connect_timeout: connect_timeout?,
            answer_timeout: answer_timeout?,
            idle_timeout: idle_timeout?,
            answer_bytes_max: answer_bytes_max?,
        })
    }

    fn reconcile(&mut self, shape: &Reconcile, path: &KeyPath) -> Option<reconcile::Settings> {
        let every = self.duration(&shape.every, &path.key("every"), 100 * MILLISECOND..=DAY);
        let drift_max = self.credits(&shape.drift_max, &path.key("drift_max"));
        let balance_pointer = shape.balance_pointer.clone();
        if !balance_pointer.is_empty() && !balance_pointer.starts_with('/') {
            self.report
                .add(&path.key("balance_pointer"), "must be a JSON pointer such as /balance");
        }
        Some(reconcile::Settings { every: every?, balance_pointer, drift_max: drift_max? })
    }

    fn breaker(&mut self, shape: &Breaker, path: &KeyPath) -> Option<breaker::Settings> {
        let open_for = self.duration(&shape.open_for, &path.key("open_for"), MILLISECOND..=HOUR);
        let open_for_max =
            self.duration(&shape.open_for_max, &path.key("open_for_max"), MILLISECOND..=HOUR);
        let (open_for, open_for_max) = (open_for?, open_for_max?);
        if open_for_max < open_for {
            self.report
                .add(&path.key("open_for_max"), "must be at least upstream.breaker.open_for");
        }
        Some(breaker::Settings {
            consecutive_failures: shape.consecutive_failures,
            open_for,
            open_for_max,
        })
    }

    fn queue(&mut self, shape: &Queue, path: &KeyPath) -> Option<queue::Settings> {
        let max_wait = self.duration(&shape.max_wait, &path.key("max_wait"), MILLISECOND..=HOUR);
        if shape.team_length_max > shape.length_max {
            self.report.add(&path.key("team_length_max"), "must be at most queue.length_max");
        }
        let (length_max, team_length_max) = (shape.length_max, shape.team_length_max);
        Some(queue::Settings { max_wait: max_wait?, length_max, team_length_max })
    }

    fn shared_keys(&mut self, shapes: &[Key], path: &KeyPath) -> Vec<KeySettings> {
        let mut names = BTreeSet::new();
        let mut keys = Vec::new();
        for (index, shape) in shapes.iter().enumerate() {
            let path = path.item(index);
            let name = self.name(&shape.name, &path.key("name"));
            self.distinct(&mut names, &shape.name, "key", &path.key("name"));
            // The key is sent in a header, so it must be a valid header value.
            let secret = self.sources.secret(&shape.secret).and_then(|secret| {
                let sendable = secret.expose().bytes().all(|byte| byte.is_ascii_graphic());
                if sendable {
                    Ok(secret)
                } else {
                    Err("must lead to one word of visible ASCII".to_owned())
                }
            });
            let secret = self.noting(secret, &path.key("secret"));
            keys.extend(name.zip(secret).map(|(name, secret)| KeySettings {
                name,
                secret,
                weight: shape.weight,
                limits: allowance(&shape.limits),
            }));
        }
        keys
    }
}

const fn allowance(shape: &AccountLimits) -> Allowance {
    Allowance {
        per_minute: shape.requests_per_minute,
        per_day: shape.requests_per_day,
        per_month: shape.requests_per_month,
    }
}
