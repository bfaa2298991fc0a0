//! Checks of the webhook: an https address, and its secret.

use super::{Check, MILLISECOND, MINUTE, optional};
use crate::config::file::Webhook;
use crate::config::report::KeyPath;
use crate::webhook::Settings;

impl Check<'_> {
    pub(super) fn webhook(&mut self, shape: &Webhook, path: &KeyPath) -> Option<Settings> {
        let url = self.page_address(&shape.url, &path.key("url"));
        let timeout =
            self.duration(&shape.timeout, &path.key("timeout"), 100 * MILLISECOND..=MINUTE);
        let authorization = shape.authorization.as_ref();
        let authorization =
            authorization.map(|reference| self.header_value(reference, &path.key("authorization")));
        let authorization = optional(authorization)?;
        let authorities = self.authorities(shape.ca_file.as_deref(), &path.key("ca_file"))?;
        Some(Settings {
            url: url?,
            authorization,
            authorities,
            timeout: timeout?,
            first_pause: Settings::FIRST_PAUSE,
        })
    }
}
