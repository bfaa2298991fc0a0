//! The price table: what each model costs per call, per image and per second of video.

use std::collections::HashMap;

use crate::credits::Credits;
use crate::pricing::{Delivered, Order};
use crate::team::ModelId;

/// What one model costs, and which orders it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// For each call, whatever comes back.
    pub per_call: Credits,
    /// For each image.
    pub per_image: Credits,
    /// For each second of video.
    pub per_second: Credits,
    /// The most images one call may ask for.
    pub images_max: u64,
    /// Images that come when the body names no number.
    pub images_default: u64,
    /// The lengths of video it makes, in seconds, shortest first; the first comes when the body names none.
    pub durations: Vec<u64>,
}

impl Price {
    /// A price of nothing, with the ranges of the published API: 1 to 4 images, 5 or 10 seconds.
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
        self.per_call.plus(self.per_image.times(order.images)).plus(self.per_second.times(order.seconds))
    }

    /// What a delivery costs. Part of a second of video counts in proportion, rounded up to a millionth.
    #[must_use]
    pub fn of(&self, delivered: &Delivered) -> Credits {
        let video = u128::from(self.per_second.micros()) * u128::from(delivered.video_ms);
        let video = Credits::from_micros(u64::try_from(video.div_ceil(1000)).unwrap_or(u64::MAX));
        self.per_call.plus(self.per_image.times(delivered.images)).plus(video)
    }
}

/// Prices by model, of one version of the configuration.
#[derive(Clone, Debug, Default)]
pub struct PriceTable {
    /// Names the version in the ledger's rows.
    pub version: String,
    /// The priced models.
    pub models: HashMap<ModelId, Price>,
    /// What a model without a price costs a call; `None` refuses such models.
    pub unknown_model: Option<Credits>,
}

impl PriceTable {
    /// The price of a model: `None` when it has none and unpriced models are refused.
    #[must_use]
    pub fn get(&self, model: &ModelId) -> Option<Price> {
        let flat = |per_call| Price { per_call, ..Price::free() };
        self.models.get(model).cloned().or_else(|| self.unknown_model.map(flat))
    }

    /// The model's name as a metric label: itself when it is priced, `other` when not. Caller input never becomes a label.
    #[must_use]
    pub fn label<'a>(&self, model: &'a ModelId) -> &'a str {
        if self.models.contains_key(model) { model.as_str() } else { "other" }
    }
}
