//! Comparison of the configured prices with those in the upstream's catalogue.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Price, PriceTable};
use crate::credits::Credits;
use crate::model::ModelId;

/// Unit of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// A call, whatever it delivers.
    Call,
    /// An image.
    Image,
    /// A second of video.
    Second,
}

/// A price in the upstream's catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The price of one unit.
    pub credits: Credits,
    /// The unit.
    pub per: Per,
}

/// Result of comparing a configured price with the upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Equal to the upstream's.
    Same,
    /// Higher: teams are charged more than a call costs.
    Dearer,
    /// Lower: teams are charged less than a call costs.
    Cheaper,
    /// Priced for another unit.
    OtherUnit,
    /// No price, although a team may use the model.
    Missing,
    /// A price for a model that the upstream does not list.
    Unlisted,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Same, Self::Dearer, Self::Cheaper, Self::OtherUnit, Self::Missing, Self::Unlisted];

    /// Name in metrics and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Dearer => "dearer",
            Self::Cheaper => "cheaper",
            Self::OtherUnit => "other_unit",
            Self::Missing => "missing",
            Self::Unlisted => "unlisted",
        }
    }
}

/// One model's prices in both tables.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The model.
    pub model: ModelId,
    /// Price that the upstream lists.
    pub listed: Option<Listed>,
    /// Price in the configuration.
    pub configured: Option<Price>,
    /// Result of the comparison.
    pub state: State,
}

impl Per {
    /// Key of this unit in the price table.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Call => "per_call",
            Self::Image => "per_image",
            Self::Second => "per_second",
        }
    }
}

impl Price {
    /// Parts of a price, each with its unit.
    pub fn parts(&self) -> impl Iterator<Item = Listed> {
        let parts = [
            (self.per_call, Per::Call),
            (self.per_image, Per::Image),
            (self.per_second, Per::Second),
        ];
        parts
            .into_iter()
            .filter(|(credits, _)| *credits > Credits::ZERO)
            .map(|(credits, per)| Listed { credits, per })
    }
}

/// Compares configured prices with the upstream's, ordered by model. A model without a price is
/// listed only if a team may use it.
#[must_use]
pub fn compare(
    table: &PriceTable,
    listed: &BTreeMap<ModelId, Listed>,
    may_be_used: impl Fn(&ModelId) -> bool,
) -> Vec<Compared> {
    let of_both = listed.iter().filter_map(|(model, listed)| {
        let configured = table.models.get(model).cloned();
        let state = match &configured {
            Some(price) => state(price, *listed),
            None if may_be_used(model) => State::Missing,
            None => return None,
        };
        Some(Compared { model: model.clone(), listed: Some(*listed), configured, state })
    });
    let unlisted = table.models.iter().filter(|(model, _)| !listed.contains_key(*model)).map(
        |(model, price)| Compared {
            model: model.clone(),
            listed: None,
            configured: Some(price.clone()),
            state: State::Unlisted,
        },
    );
    let mut compared: Vec<Compared> = of_both.chain(unlisted).collect();
    compared.sort_by(|one, other| one.model.cmp(&other.model));
    compared
}

fn state(price: &Price, listed: Listed) -> State {
    let mut parts = price.parts();
    match (parts.next(), parts.next()) {
        (None, _) if listed.credits == Credits::ZERO => State::Same,
        (None, _) => State::Cheaper,
        (Some(only), None) if only.per == listed.per => match only.credits.cmp(&listed.credits) {
            std::cmp::Ordering::Less => State::Cheaper,
            std::cmp::Ordering::Equal => State::Same,
            std::cmp::Ordering::Greater => State::Dearer,
        },
        (Some(_), _) => State::OtherUnit,
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn model(text: &str) -> ModelId {
        ModelId::parse(text).expect("a model")
    }

    fn credits(text: &str) -> Credits {
        text.parse().expect("credits")
    }

    #[test]
    fn every_way_in_which_two_prices_can_stand() {
        let image = |text: &str| Price { per_image: credits(text), ..Price::free() };
        let both = Price { per_call: credits("1"), ..image("0.02") };
        let table = [
            ("a", image("0.02")),
            ("b", image("0.03")),
            ("c", image("0.01")),
            ("d", Price { per_call: credits("0.02"), ..Price::free() }),
            ("e", both),
            ("f", Price::free()),
            ("g", image("1")),
        ];
        let models = table.into_iter().map(|(id, price)| (model(id), price)).collect();
        let table = PriceTable { models, ..PriceTable::default() };
        let one = Listed { credits: credits("0.02"), per: Per::Image };
        let listed = ["a", "b", "c", "d", "e", "f", "x", "y"].map(|id| (model(id), one)).into();
        let compared = compare(&table, &listed, |id| *id == model("x"));
        let states: Vec<(&str, &str)> =
            compared.iter().map(|one| (one.model.as_str(), one.state.name())).collect();
        let expected = [
            ("a", "same"),
            ("b", "dearer"),
            ("c", "cheaper"),
            ("d", "other_unit"),
            ("e", "other_unit"),
            ("f", "cheaper"),
            ("g", "unlisted"),
            ("x", "missing"),
        ];
        assert_eq!(states, expected, "y has no price, and nobody may use it");
    }
}
