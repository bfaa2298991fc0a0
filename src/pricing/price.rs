//! Price table: what each model costs per call, per image and per second of video.

use crate::credits::Credits;
use crate::maps::FastMap;
use crate::model::ModelId;

/// Price of one model, and the orders it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The price of each call, whatever it delivers.
    pub per_call: Credits,
    /// The price of each image.
    pub per_image: Credits,
    /// The price of each second of video.
    pub per_second: Credits,
    /// The most images in one call.
    pub images_max: u64,
    /// Images made when the body gives no number.
    pub images_default: u64,
    /// Video lengths in seconds, shortest first; the first is the default.
    pub durations: Vec<u64>,
}

impl Price {
    /// Costs nothing; has the ranges of the published API: 1 to 4 images, 5 or 10 seconds.
    #[must_use]
    pub fn free() -> Self {
        Self {
            per_call: Credits::ZERO,
            per_image: Credits::ZERO,
            per_second: Credits::ZERO,
            images_max: 4,
            images_default: 1,
            durations: vec![5, 10],
        }
    }

    /// Whether the number of images decides the price.
    #[must_use]
    pub fn counts_images(&self) -> bool {
        self.per_image > Credits::ZERO
    }

    /// Whether the length of the video decides the price.
    #[must_use]
    pub fn counts_seconds(&self) -> bool {
        self.per_second > Credits::ZERO
    }

    /// The most an order can cost.
    #[must_use]
    pub fn most(&self, order: &Order) -> Credits {
        self.per_call
            .plus(self.per_image.times(order.images))
            .plus(self.per_second.times(order.seconds))
    }

    /// The cost of a delivery. Part of a second of video counts in proportion, rounded up to a
    /// millionth.
    #[must_use]
    pub fn of(&self, delivered: &Delivered) -> Credits {
        let video = u128::from(self.per_second.micros()) * u128::from(delivered.video_ms);
        let video = Credits::from_micros(u64::try_from(video.div_ceil(1000)).unwrap_or(u64::MAX));
        self.per_call.plus(self.per_image.times(delivered.images)).plus(video)
    }
}

/// What a call orders, within what the model accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Images.
    pub images: u64,
    /// Seconds of video.
    pub seconds: u64,
}

/// What an answer delivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Images.
    pub images: u64,
    /// Milliseconds of video.
    pub video_ms: u64,
}

/// Most typing errors in a name that is still recognized.
const SLIPS_MAX: usize = 2;
/// Most models that a name is compared with.
const COMPARED_MAX: usize = 500;

/// Prices by model, from one version of the configuration.
#[derive(Clone, Debug, Default)]
pub struct PriceTable {
    /// Version, written into the ledger's rows.
    pub version: String,
    /// The priced models.
    pub models: FastMap<ModelId, Price>,
    /// Price of a call of a model without one; `None` refuses such models.
    pub unknown_model: Option<Credits>,
}

impl PriceTable {
    /// The price of a model; `None` when it has none and unpriced models are refused.
    #[must_use]
    pub fn get(&self, model: &ModelId) -> Option<Price> {
        let flat = |per_call| Price { per_call, ..Price::free() };
        self.models.get(model).cloned().or_else(|| self.unknown_model.map(flat))
    }

    /// The priced model closest to a misspelt name, among those that the caller may know.
    #[must_use]
    pub fn nearest(
        &self,
        model: &ModelId,
        may_be_named: impl Fn(&ModelId) -> bool,
    ) -> Option<ModelId> {
        let misspelt = model.as_str();
        // Bounded work, since a caller may ask often: names of very different length are skipped.
        let alike =
            self.models.keys().filter(|id| id.as_str().len().abs_diff(misspelt.len()) <= SLIPS_MAX);
        let compared = alike.filter(|id| may_be_named(id)).take(COMPARED_MAX);
        let slips = compared.map(|id| match id.as_str() {
            same if same.eq_ignore_ascii_case(misspelt) => (0, id),
            other => (strsim::damerau_levenshtein(misspelt, other), id),
        });
        let (slips, nearest) = slips.min()?;
        (slips <= SLIPS_MAX && slips * 3 < misspelt.len()).then(|| nearest.clone())
    }

    /// The model as a metric label: itself when it is priced, else `other`, so that callers cannot
    /// make labels.
    #[must_use]
    pub fn label<'a>(&self, model: &'a ModelId) -> &'a str {
        if self.models.contains_key(model) { model.as_str() } else { "other" }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    /// One that the caller may not use is never named.
    #[test]
    fn a_misspelt_model_names_the_likely_one() {
        let model = |text: &str| ModelId::parse(text).expect("a model");
        let models = ["flux/dev", "flux/devy", "flux/pro", "nano-banana", "a"]
            .map(|id| (model(id), Price::free()))
            .into_iter()
            .collect();
        let table = PriceTable { models, ..PriceTable::default() };
        let nearest = |text: &str| {
            table.nearest(&model(text), |id| id.as_str() != "flux/devy").map(|id| id.to_string())
        };
        for (slip, meant) in [
            ("flux/devv", "flux/dev"),
            ("flux/dve", "flux/dev"),
            ("flux-dev", "flux/dev"),
            ("FLUX/DEV", "flux/dev"),
            ("nano-bannana", "nano-banana"),
        ] {
            assert_eq!(nearest(slip).as_deref(), Some(meant), "{slip}");
        }
        for other in ["flux/schnell", "b", "ab", "kling/kling-2-1-master"] {
            assert_eq!(nearest(other), None, "{other}");
        }
        assert_eq!(
            nearest("flux/devyyy"),
            None,
            "the nearest may not be named, and the next is too far"
        );
    }
}
