//! Checks of the price table: no price by accident or out of range, and no key that would be
//! ignored.

use sha2::{Digest, Sha256};

use super::{Check, optional};
use crate::config::file::CreditsText;
use crate::config::file::team::{Price as Shape, Pricing};
use crate::config::report::KeyPath;
use crate::credits::Credits;
use crate::maps::FastMap;
use crate::model::ModelId;
use crate::pricing::{Order, Price, PriceTable};

impl Check<'_> {
    pub(super) fn prices(&mut self, shape: &Pricing, path: &KeyPath) -> Option<PriceTable> {
        let unknown_path = path.key("unknown_model_credits");
        let unknown_model =
            shape.unknown_model_credits.as_ref().map(|text| self.price_part(text, &unknown_path));
        let mut models = FastMap::default();
        for (id, shape) in &shape.models {
            let path = path.key("models").key(id);
            let model = ModelId::parse(id);
            if model.is_none() {
                self.report.add(
                    &path,
                    "is no model id: 1 to 4 parts of letters, digits, '.', '_' and \
                     '-', joined by '/'",
                );
            }
            let price = self.price(shape, &path);
            models.extend(model.zip(price));
        }
        let unknown_model = optional(unknown_model)?;
        Some(PriceTable { version: version(shape), models, unknown_model })
    }

    fn price(&mut self, shape: &Shape, path: &KeyPath) -> Option<Price> {
        let mut price = Price::free();
        if shape.per_call.is_none() && shape.per_image.is_none() && shape.per_second.is_none() {
            self.report.add(
                path,
                "needs at least one of per_call, per_image and per_second; per_call: \
                 0 makes it free",
            );
        }
        if let Some(text) = &shape.per_call {
            price.per_call = self.credits(text, &path.key("per_call"))?;
        }
        let part = |check: &mut Self, text: &Option<CreditsText>, key: &str| match text {
            Some(text) => check.price_part(text, &path.key(key)),
            None => Some(Credits::ZERO),
        };
        let (per_image, per_second) = (
            part(self, &shape.per_image, "per_image"),
            part(self, &shape.per_second, "per_second"),
        );
        (price.per_image, price.per_second) = (per_image?, per_second?);
        self.images(shape, &mut price, path);
        self.durations(shape, &mut price, path);
        let order = Order {
            images: price.images_max,
            seconds: price.durations.last().copied().unwrap_or_default(),
        };
        if price.most(&order) == Credits::MAX {
            self.report.add(
                path,
                format!("the dearest call would cost more than {} credits", Credits::MAX),
            );
        }
        Some(price)
    }

    /// An amount for one part of the price. Zero would make it free by accident.
    fn price_part(&mut self, text: &CreditsText, path: &KeyPath) -> Option<Credits> {
        let credits = self.credits(text, path)?;
        if credits == Credits::ZERO {
            self.report.add(path, "must be more than 0; a free model has per_call: 0");
            return None;
        }
        Some(credits)
    }

    fn images(&mut self, shape: &Shape, price: &mut Price, path: &KeyPath) {
        for (key, given) in
            [("images_max", shape.images_max), ("images_default", shape.images_default)]
        {
            if given.is_some() && shape.per_image.is_none() && self.was_read(&path.key("per_image"))
            {
                self.report.add(&path.key(key), "has no effect without per_image");
            }
        }
        price.images_max = shape.images_max.unwrap_or(price.images_max);
        price.images_default = shape.images_default.unwrap_or(price.images_default);
        if price.images_default > price.images_max && self.was_read(&path.key("images_max")) {
            let message = format!("must be at most images_max, which is {}", price.images_max);
            self.report.add(&path.key("images_default"), message);
        }
    }

    fn durations(&mut self, shape: &Shape, price: &mut Price, path: &KeyPath) {
        let Some(durations) = &shape.durations else { return };
        let (path, per_second) = (path.key("durations"), path.key("per_second"));
        if shape.per_second.is_none() && self.was_read(&per_second) {
            self.report.add(&path, "has no effect without per_second");
        }
        let mut sorted = durations.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() < durations.len() {
            self.report.add(&path, "names a length twice");
        }
        price.durations = sorted;
    }
}

/// Names the version of the prices in the ledger's rows: equal prices have the same name on every
/// replica.
fn version(shape: &Pricing) -> String {
    let written = serde_json::to_vec(shape).unwrap_or_default();
    Sha256::digest(&written).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
