//! Checks of logs and traces.

use std::collections::BTreeMap;

use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRANSFER_ENCODING,
    UPGRADE, USER_AGENT,
};
use http::{HeaderName, Uri};

use super::{Check, MILLISECOND, MINUTE, any_address, optional};
use crate::config::file::{Logs, Otlp, Reference, Telemetry};
use crate::config::report::KeyPath;
use crate::secret::Secret;
use crate::telemetry::logs::Form;
use crate::telemetry::{self, traces};

/// Where a collector takes traces, below its address, by the OTLP specification.
const TRACES: &str = "/v1/traces";

/// Headers that the exporter sets itself.
const OWN: [HeaderName; 9] = [
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    USER_AGENT,
];

impl Check<'_> {
    pub(super) fn telemetry(
        &mut self,
        shape: &Telemetry,
        path: &KeyPath,
    ) -> Option<telemetry::Settings> {
        let logs = match shape.logs {
            Logs::Json => Some(Form::Json),
            Logs::Text => Some(Form::Text),
            Logs::Auto => None,
        };
        let otlp = shape.otlp.as_ref().map(|shape| self.otlp(shape, &path.key("otlp")));
        Some(telemetry::Settings { logs, access_log: shape.access_log, otlp: optional(otlp)? })
    }

    fn otlp(&mut self, shape: &Otlp, path: &KeyPath) -> Option<traces::Settings> {
        let url = self.noting(traces_of(&shape.endpoint), &path.key("endpoint"));
        let headers = self.trace_headers(&shape.headers, &path.key("headers"));
        let authorities = self.authorities(shape.ca_file.as_deref(), &path.key("ca_file"));
        let sample_share = self.share(&shape.sample_share, &path.key("sample_share"));
        let timeout =
            self.duration(&shape.timeout, &path.key("timeout"), 100 * MILLISECOND..=MINUTE);
        Some(traces::Settings {
            url: url?,
            headers: headers?,
            authorities: authorities?,
            sample_share: sample_share?,
            timeout: timeout?,
            gather: traces::Settings::GATHER,
            first_pause: traces::Settings::FIRST_PAUSE,
            finish: traces::Settings::FINISH,
        })
    }

    fn trace_headers(
        &mut self,
        shape: &BTreeMap<String, Reference>,
        path: &KeyPath,
    ) -> Option<Vec<(HeaderName, Secret)>> {
        let mut headers: Vec<(HeaderName, Secret)> = Vec::new();
        let mut all_good = true;
        for (name, reference) in shape {
            let path = path.key(name);
            let taken = |name: &HeaderName| headers.iter().any(|(there, _)| there == name);
            let name = match HeaderName::from_bytes(name.as_bytes()) {
                Err(_) => Err(format!("must be the name of a header, not {name:?}")),
                Ok(own) if OWN.contains(&own) => Err(format!("{own} is set by the gateway itself")),
                Ok(name) if taken(&name) => {
                    Err(format!("{name} is there twice; its case makes no difference"))
                }
                Ok(name) => Ok(name),
            };
            let (name, value) = (self.noting(name, &path), self.header_value(reference, &path));
            all_good &= name.is_some() && value.is_some();
            headers.extend(name.zip(value));
        }
        all_good.then_some(headers)
    }
}

/// Where traces are posted at a collector.
fn traces_of(endpoint: &str) -> Result<Uri, String> {
    any_address(endpoint)?;
    let base = endpoint.trim_end_matches('/');
    if base.ends_with(TRACES) {
        return Err(format!("must be the collector's address without {TRACES}, which is appended"));
    }
    format!("{base}{TRACES}").parse().map_err(|_| super::NO_ADDRESS.to_owned())
}
