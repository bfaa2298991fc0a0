//! The webhook: an address that is spoken to over TLS, and what goes with it.

use super::{Check, MILLISECOND, MINUTE, optional};
use crate::config::file::Webhook;
use crate::config::report::KeyPath;
use crate::webhook::Settings;

impl Check<'_> {
    pub(super) fn webhook(&mut self, shape: &Webhook, path: &KeyPath) -> Option<Settings> {
        let url = self.page_address(&shape.url, &path.key("url"));
        let timeout = self.duration(&shape.timeout, &path.key("timeout"), 100 * MILLISECOND..=MINUTE);
        let authorization = shape.authorization.as_ref().map(|reference| {
            // It goes out in a header: what cannot stand there cannot be sent.
            let secret = self.sources.secret(reference).and_then(|secret| {
                let sendable = secret.expose().bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
                if sendable { Ok(secret) } else { Err("must lead to one line of visible ASCII".to_owned()) }
            });
            self.noting(secret, &path.key("authorization"))
        });
        let authorization = optional(authorization)?;
        let authorities = self.authorities(shape.ca_file.as_deref(), &path.key("ca_file"))?;
        Some(Settings { url: url?, authorization, authorities, timeout: timeout?, first_pause: Settings::FIRST_PAUSE })
    }
}
