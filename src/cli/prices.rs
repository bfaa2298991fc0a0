//! `moongate prices`: prints the upstream's prices as a price table and compares the configured
//! ones with them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use super::runtime::block_on;
use super::{Ended, table};
use crate::catalogue::listing;
use crate::config::{self, LiveSettings};
use crate::credits::Credits;
use crate::live::Live;
use crate::model::ModelId;
use crate::pricing::{Compared, Listed, Price, State, compare};
use crate::printable;
use crate::request::{Buffer, Shares};
use crate::upstream::{Bounds, Upstream, UpstreamClient, unpaid};

/// How long the upstream may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The largest list that is read.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// Prints the models of the upstream's catalogue as a price table, and where the configured prices
/// differ.
///
/// The catalogue is public: no key is sent, and nothing is charged.
#[derive(Clone, Debug, clap::Args)]
pub struct Prices {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "MOONGATE_CONFIG")]
    config: PathBuf,
    /// Prints only what differs, and ends with 1 if anything does
    #[arg(long)]
    check: bool,
    /// Prints JSON for programs
    #[arg(long)]
    json: bool,
}

impl Prices {
    /// Reads the upstream's catalogue and prints.
    ///
    /// # Errors
    /// The configuration is invalid; the upstream does not answer, or not with prices; with
    /// `--check`, prices differ.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Ended> {
        let settings = config::load(&self.config)
            .map_err(|problems| Ended::Misused(problems.to_string()))?
            .live;
        let source =
            format!("{}/models", settings.upstream.base_url.to_string().trim_end_matches('/'));
        let list =
            block_on(list(&settings))?.map_err(|why| Ended::Failed(format!("{source}: {why}")))?;
        let listed = listing::prices(&list, &settings.catalogue.fields, &settings.prices);
        if listed.is_empty() {
            let why = "no prices were found in the answer; set catalogue.fields to where they are";
            return Err(Ended::Failed(format!("{source}: {why}")));
        }
        let may_be_used =
            |model: &ModelId| settings.teams.values().any(|team| team.models.allow(model));
        let compared = compare(&settings.prices, &listed, may_be_used);
        let differing = compared.iter().filter(|one| one.state != State::Same).count();
        match (self.json, self.check) {
            (true, _) => json(out, &source, &compared, self.check)?,
            (false, true) => differences(out, &compared)?,
            (false, false) => fragment(out, &source, &listed, &compared)?,
        }
        if self.check && differing > 0 {
            let these = if differing == 1 {
                "1 price is".to_owned()
            } else {
                format!("{differing} prices are")
            };
            return Err(Ended::Failed(format!("{these} not as {source} has them")));
        }
        Ok(())
    }
}

async fn list(settings: &LiveSettings) -> Result<Bytes, String> {
    let upstream = Upstream::new(settings.upstream.clone(), None)?;
    let request = unpaid::get(&upstream.origin, "/models").map_err(|error| error.to_string())?;
    let bounds =
        Bounds { answer: ANSWER_WITHIN, answer_bytes_max: LIST_BYTES_MAX, ..upstream.bounds };
    let buffer = Buffer::new(LIST_BYTES_MAX * 2, 0, Live::new(Shares::default()));
    let received = UpstreamClient::new(buffer).ask(&upstream.origin, request, bounds).await;
    let received = received.map_err(|failed| failed.to_string())?;
    match received.head.status {
        StatusCode::OK => Ok(received.body),
        status => Err(format!("the answer was {status}")),
    }
}

/// Text to replace `pricing.models`, with different configured prices as comments.
fn fragment(
    out: &mut dyn Write,
    source: &str,
    listed: &BTreeMap<ModelId, Listed>,
    compared: &[Compared],
) -> Result<(), Ended> {
    writeln!(out, "# {source}\npricing:\n  models:")?;
    for (model, Listed { credits, per }) in listed {
        let note = compared.iter().find(|one| one.model == *model).and_then(note);
        let note = note.map(|note| format!("   # {note}")).unwrap_or_default();
        writeln!(out, "    {model}: {{ {}: {credits} }}{note}", per.key())?;
    }
    for unlisted in compared.iter().filter(|one| one.state == State::Unlisted) {
        writeln!(
            out,
            "    # {}: not listed, but configured: {}",
            unlisted.model,
            configured(unlisted)
        )?;
    }
    Ok(())
}

fn note(compared: &Compared) -> Option<String> {
    match compared.state {
        State::Same | State::Unlisted => None,
        State::Missing => Some("missing".to_owned()),
        State::Dearer | State::Cheaper | State::OtherUnit => {
            Some(format!("{}: configured is {}", compared.state.name(), configured(compared)))
        }
    }
}

fn differences(out: &mut dyn Write, compared: &[Compared]) -> Result<(), Ended> {
    let shown = |one: &Compared| {
        let listed = one.listed.map(|listed| format!("{}: {}", listed.per.key(), listed.credits));
        vec![
            one.model.to_string(),
            one.state.name().to_owned(),
            configured(one),
            listed.unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> =
        compared.iter().filter(|one| one.state != State::Same).map(shown).collect();
    if rows.is_empty() {
        return writeln!(out, "All {} prices are as the upstream has them.", compared.len())
            .map_err(Ended::from);
    }
    table::write(out, &["MODEL", "STATE", "CONFIGURED", "UPSTREAM"], &rows).map_err(Ended::from)
}

fn json(
    out: &mut dyn Write,
    source: &str,
    compared: &[Compared],
    only_differing: bool,
) -> Result<(), Ended> {
    let parts = |price: &Price| {
        price.parts().map(|part| (part.per.key(), part.credits)).collect::<BTreeMap<_, _>>()
    };
    let models: Vec<_> = compared
        .iter()
        .filter(|one| !only_differing || one.state != State::Same)
        .map(|one| {
            json!({
                "model": one.model, "state": one.state,
                "upstream": one.listed, "configured": one.configured.as_ref().map(parts),
            })
        })
        .collect();
    let shown = printable::to_json(&json!({ "source": source, "models": models }))
        .map_err(io::Error::from)?;
    writeln!(out, "{shown}").map_err(Ended::from)
}

/// The configured price in the file's form.
fn configured(compared: &Compared) -> String {
    let Some(price) = &compared.configured else { return String::new() };
    let parts: Vec<String> =
        price.parts().map(|part| format!("{}: {}", part.per.key(), part.credits)).collect();
    if parts.is_empty() { format!("per_call: {}", Credits::ZERO) } else { parts.join(", ") }
}
