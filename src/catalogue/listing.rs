//! The list of models, read for their ids and prices. The names of its fields are not documented: the configuration may
//! say where they stand, else likely places are tried. For existence every text in such a place counts that can be an
//! id: one too many costs a question, one too few would hide a model.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::settings::Fields;
use crate::credits::Credits;
use crate::model::ModelId;
use crate::pricing::{Listed, Per, PriceTable};

/// Members of an entry that may hold its id.
const IDS: [&str; 9] =
    ["/id", "/modelId", "/model_id", "/modelid", "/model", "/endpoint", "/endpointId", "/endpoint_id", "/slug"];
/// What an id may be written behind, when it is written as an address.
const BEFORE: [&str; 4] = ["/api/v1/", "api/v1/", "/v1/", "v1/"];
/// Where an entry may say its price, and for what when the place says that.
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
/// Where it may say what that is for.
const UNITS: [&str; 7] = ["/pricing/unit", "/pricing/per", "/unit", "/per", "/pricing/type", "/category", "/type"];
/// Names of parts that have a price in them and are no ids.
const PARTS: [&str; 5] = ["pricing", "price", "prices", "cost", "billing"];
/// How deep in the answer entries are looked for.
const DEPTH_MAX: usize = 4;
/// The most entries that are read.
const ENTRIES_MAX: usize = 10_000;

/// The ids in a list of models; none when it is no such list.
pub(super) fn ids(body: &[u8], fields: &Fields) -> HashSet<ModelId> {
    let list = serde_json::from_slice(body).unwrap_or_default();
    let mut entries = Vec::new();
    collect(None, &list, DEPTH_MAX, &mut entries);
    entries.iter().flat_map(|entry| entry.ids(fields)).take(ENTRIES_MAX).collect()
}

/// The prices in a list of models. Of several ids that an entry may have, that is taken which has a price in the table.
#[must_use]
pub fn prices(body: &[u8], fields: &Fields, table: &PriceTable) -> BTreeMap<ModelId, Listed> {
    let list = serde_json::from_slice(body).unwrap_or_default();
    let mut entries = Vec::new();
    collect(None, &list, DEPTH_MAX, &mut entries);
    entries.iter().filter_map(|entry| Some((entry.id(fields, table)?, entry.price(fields)?))).collect()
}

/// What may be one model of the list.
enum Entry<'a> {
    /// With its members, and the name it stands under.
    Full(Option<&'a str>, &'a Value),
    /// Only its id.
    Bare(&'a str),
}

fn collect<'a>(name: Option<&'a str>, value: &'a Value, depth: usize, entries: &mut Vec<Entry<'a>>) {
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
            // The members of what says its own id are its parts, and do not stand under ids of theirs.
            let says_its_id = IDS.iter().any(|place| value.pointer(place).is_some_and(Value::is_string));
            for (name, member) in members.iter().take(ENTRIES_MAX) {
                let may_be_id = !says_its_id && !PARTS.contains(&name.as_str());
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
                let told = places(fields.id.as_deref(), &IDS).filter_map(|place| id(value.pointer(place)?.as_str()?));
                told.chain(name.and_then(ModelId::parse)).collect()
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
            None => PRICES.iter().find_map(|(place, per)| Some((credits(value.pointer(place)?)?, *per)))?,
        };
        let told = || places(fields.unit.as_deref(), &UNITS).find_map(|place| unit(value.pointer(place)?.as_str()?));
        Some(Listed { credits, per: per.or_else(told)? })
    }
}

/// The place that the configuration names, or else the likely ones.
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
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match () {
        () if says(&["second", "video"]) => Some(Per::Second),
        () if says(&["image", "picture"]) => Some(Per::Image),
        () if says(&["call", "request", "generation", "run"]) => Some(Per::Call),
        () => None,
    }
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
