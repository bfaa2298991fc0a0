//! Metrics of identity: credentials judged, key sets read.

use super::Metrics;
use crate::identity::Observer;
use crate::identity::observer::OK;

impl Observer for Metrics {
    fn authenticated(&self, kind: &'static str, result: &'static str) {
        self.catalogue.authentications_total.with([kind, result]).inc();
    }

    fn refreshed(&self, issuer: &str, result: &'static str) {
        self.catalogue.jwks_refreshes_total.with([issuer, result]).inc();
        if result == OK {
            self.key_set_read(issuer);
        }
    }
}
