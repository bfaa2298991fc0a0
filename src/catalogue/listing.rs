//! Reads ids and prices from the list of models. Its fields are not documented: the configuration
//! may name them, otherwise likely ones are tried. To find out whether a model exists, every
//! possible id counts: one too many costs a request, one too few would hide a model.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::settings::Fields;
use crate::credits::Credits;
use crate::model::ModelId;
use crate::pricing::{Listed, Per, PriceTable};

/// Members of an entry that may have its id.
const IDS: [&str; 9] = [
    "/id",
    "/modelId",
    "/model_id",
    "/modelid",
    "/model",
    "/endpoint",
    "/endpointId",
    "/endpoint_id",
    "/slug",
];
/// Prefixes of an id that is written as an address.
const BEFORE: [&str; 4] = ["/api/v1/", "api/v1/", "/v1/", "v1/"];
/// Members that may have the price, with the unit if the name tells it.
const PRICES: [(&str, Option<Per>); 16] = [
    ("/pricing/credits", None),
    ("/pricing/price", None),
    ("/pricing/cost", None),
    ("/pricing/amount", None),
    ("/pricing/per_image", Some(Per::Image)),
    ("/pricing/perImage", Some(Per::Image)),
    ("/pricing/per_second", Some(Per::Second)),
    ("/pricing/perSecond", Some(Per::Second)),
    ("/pricing/per_call", Some(Per::Call)),
    ("/pricing/perCall", Some(Per::Call)),
    ("/pricing", None),
    ("/price", None),
    ("/cost", None),
    ("/credits", None),
    ("/price_per_image", Some(Per::Image)),
    ("/price_per_second", Some(Per::Second)),
];
/// Members that may have the unit of the price.
const UNITS: [&str; 7] =
    ["/pricing/unit", "/pricing/per", "/unit", "/per", "/pricing/type", "/category", "/type"];
/// Members that contain a price and are no ids.
const PARTS: [&str; 5] = ["pricing", "price", "prices", "cost", "billing"];
/// How deep entries are searched.
const DEPTH_MAX: usize = 4;
/// Most entries that are read.
const ENTRIES_MAX: usize = 10_000;

/// Model ids in a list of models; empty when it is not understood.
pub(super) fn ids(body: &[u8], fields: &Fields) -> HashSet<ModelId> {
    let list = serde_json::from_slice(body).unwrap_or_default();
    let mut entries = Vec::new();
    collect(None, &list, DEPTH_MAX, &mut entries);
    entries.iter().flat_map(|entry| entry.ids(fields)).take(ENTRIES_MAX).collect()
}

/// Prices in a list of models. Where an entry may have several ids, the one with a configured price
/// is taken.
#[must_use]
pub fn prices(body: &[u8], fields: &Fields, table: &PriceTable) -> BTreeMap<ModelId, Listed> {
    let list = serde_json::from_slice(body).unwrap_or_default();
    let mut entries = Vec::new();
    collect(None, &list, DEPTH_MAX, &mut entries);
    entries
        .iter()
        .filter_map(|entry| Some((entry.id(fields, table)?, entry.price(fields)?)))
        .collect()
}

/// A possible entry of the list.
enum Entry<'a> {
    /// An entry with members, and the name it is listed under.
    Full(Option<&'a str>, &'a Value),
    /// An id alone.
    Bare(&'a str),
}

fn collect<'a>(
    name: Option<&'a str>,
    value: &'a Value,
    depth: usize,
    entries: &mut Vec<Entry<'a>>,
) {
    if depth == 0 || entries.len() >= ENTRIES_MAX {
        return;
    }
    match value {
        Value::Array(items) => {
            for item in items.iter().take(ENTRIES_MAX) {
                match item {
                    Value::String(text) => entries.push(Entry::Bare(text)),
                    Value::Array(_) | Value::Object(_) => collect(None, item, depth - 1, entries),
                    Value::Null | Value::Bool(_) | Value::Number(_) => {}
                }
            }
        }
        Value::Object(members) => {
            entries.push(Entry::Full(name, value));
            // The members of an entry with an id of its own are its parts, and their names are no
            // ids.
            let has_id = IDS.iter().any(|place| value.pointer(place).is_some_and(Value::is_string));
            for (name, member) in members.iter().take(ENTRIES_MAX) {
                let may_be_id = !has_id && !PARTS.contains(&name.as_str());
                collect(may_be_id.then_some(name.as_str()), member, depth - 1, entries);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl Entry<'_> {
    /// Every id that it may have.
    fn ids(&self, fields: &Fields) -> Vec<ModelId> {
        match self {
            Self::Bare(text) => id(text).into_iter().collect(),
            Self::Full(name, value) => {
                let ids = places(fields.id.as_deref(), &IDS)
                    .filter_map(|place| id(value.pointer(place)?.as_str()?));
                ids.chain(name.and_then(ModelId::parse)).collect()
            }
        }
    }

    fn id(&self, fields: &Fields, table: &PriceTable) -> Option<ModelId> {
        let ids = self.ids(fields);
        let priced = ids.iter().find(|id| table.models.contains_key(*id));
        let of_a_provider = || ids.iter().find(|id| id.as_str().contains('/'));
        priced.or_else(of_a_provider).or(ids.first()).cloned()
    }

    fn price(&self, fields: &Fields) -> Option<Listed> {
        let Self::Full(_, value) = self else { return None };
        let (credits, per) = match &fields.price {
            Some(place) => (credits(value.pointer(place)?)?, None),
            None => PRICES
                .iter()
                .find_map(|(place, per)| Some((credits(value.pointer(place)?)?, *per)))?,
        };
        let configured_unit = || {
            places(fields.unit.as_deref(), &UNITS)
                .find_map(|place| unit(value.pointer(place)?.as_str()?))
        };
        Some(Listed { credits, per: per.or_else(configured_unit)? })
    }
}

/// The member that the configuration names, or else the likely ones.
fn places<'a>(configured: Option<&'a str>, likely: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let likely = if configured.is_some() { &[] } else { likely };
    configured.into_iter().chain(likely.iter().copied())
}

fn id(text: &str) -> Option<ModelId> {
    ModelId::parse(BEFORE.iter().find_map(|before| text.strip_prefix(before)).unwrap_or(text))
}

fn credits(value: &Value) -> Option<Credits> {
    match value {
        Value::Number(number) => number.to_string().parse().ok(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn unit(text: &str) -> Option<Per> {
    let text = text.to_ascii_lowercase();
    let has_any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match () {
        () if has_any(&["second", "video"]) => Some(Per::Second),
        () if has_any(&["image", "picture"]) => Some(Per::Image),
        () if has_any(&["call", "request", "generation", "run"]) => Some(Per::Call),
        () => None,
    }
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
