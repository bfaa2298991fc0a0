//! Models of the simulated Firemoon: accepted fields, price and duration of each.

use serde::Serialize;
use serde_json::value::RawValue;

use super::settings::Latency;
use crate::credits::Credits;

/// What a model makes, and the unit of its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Makes {
    /// Images; the price is for one of them.
    Image,
    /// One video; the price is for a second of it.
    Video,
}

/// One model.
pub(super) struct Model {
    pub(super) id: &'static str,
    /// Name in a key's providers and in the text of a 403.
    pub(super) provider: &'static str,
    pub(super) makes: Makes,
    /// The price of one image or one second.
    pub(super) price: Credits,
    pub(super) latency: Latency,
    pub(super) fields: &'static [Field],
}

/// A field that a model uses; others are accepted and ignored.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) accepts: Accepts,
    /// Default as JSON, for the published configuration.
    pub(super) default: Option<&'static str>,
}

/// Valid values of a field.
#[derive(Clone, Copy)]
pub(super) enum Accepts {
    Text {
        longest: Option<usize>,
    },
    Choice(&'static [&'static str]),
    /// A ratio such as `16:9`, both sides from 1 to 32.
    Ratio,
    Integer {
        least: i64,
        most: i64,
    },
    Number {
        least: f64,
        most: f64,
    },
    Boolean,
    /// A list of strings.
    Texts,
}

/// Sizes of the names in `image_size`.
pub(super) const IMAGE_SIZES: [(&str, u32, u32); 6] = [
    ("square_hd", 1024, 1024),
    ("square", 512, 512),
    ("portrait_4_3", 768, 1024),
    ("portrait_16_9", 576, 1024),
    ("landscape_4_3", 1024, 768),
    ("landscape_16_9", 1024, 576),
];

const fn required(name: &'static str, accepts: Accepts) -> Field {
    Field { name, required: true, accepts, default: None }
}

const fn optional(name: &'static str, accepts: Accepts, default: Option<&'static str>) -> Field {
    Field { name, required: false, accepts, default }
}

const TEXT: Accepts = Accepts::Text { longest: None };
const PROMPT: Field = required("prompt", TEXT);
const SHORT_PROMPT: Field = required("prompt", Accepts::Text { longest: Some(1000) });
const NUM_IMAGES: Field = optional("num_images", Accepts::Integer { least: 1, most: 4 }, Some("1"));
const IMAGE_SIZE: Field = optional(
    "image_size",
    Accepts::Choice(&[
        "square_hd",
        "square",
        "portrait_4_3",
        "portrait_16_9",
        "landscape_4_3",
        "landscape_16_9",
    ]),
    Some("\"landscape_4_3\""),
);
const GUIDANCE: Field =
    optional("guidance_scale", Accepts::Number { least: 1.0, most: 20.0 }, Some("3.5"));
const STEPS: Field =
    optional("num_inference_steps", Accepts::Integer { least: 1, most: 50 }, Some("28"));
const SEED: Field = optional("seed", Accepts::Integer { least: 0, most: i64::MAX }, None);
const SQUARE: Field = optional("aspect_ratio", Accepts::Ratio, Some("\"1:1\""));
const STYLE: Field =
    optional("style", Accepts::Choice(&["realistic", "anime", "digital_art"]), None);
const MAGIC: Field =
    optional("magic_prompt_option", Accepts::Choice(&["auto", "on", "off"]), Some("\"auto\""));
const NEGATIVE: Field = optional("negative_prompt", TEXT, None);
const FORMAT: Field = optional("output_format", Accepts::Choice(&["png", "jpeg"]), None);
const IMAGE_URL: Field = optional("image_url", TEXT, None);
const IMAGE_URLS: Field = optional("image_urls", Accepts::Texts, None);

/// Documented for `flux/dev`; assumed for its siblings.
const FLUX: &[Field] = &[SHORT_PROMPT, NUM_IMAGES, IMAGE_SIZE, GUIDANCE, STEPS, SEED];
/// Assumed: only the names of the editing models are published.
const FLUX_EDIT: &[Field] =
    &[PROMPT, IMAGE_URL, IMAGE_URLS, NUM_IMAGES, IMAGE_SIZE, GUIDANCE, STEPS, SEED];
/// Documented; without `num_images`, so one image is made whatever is ordered.
const IDEOGRAM_EDIT: &[Field] =
    &[PROMPT, required("image_url", TEXT), STYLE, MAGIC, SQUARE, NEGATIVE];
/// Assumed from the documented sibling.
const IDEOGRAM: &[Field] = &[PROMPT, NUM_IMAGES, STYLE, MAGIC, SQUARE, NEGATIVE, SEED];
/// Assumed.
const BANANA: &[Field] = &[PROMPT, NUM_IMAGES, SQUARE, FORMAT, SEED];
/// Assumed.
const BANANA_EDIT: &[Field] = &[PROMPT, IMAGE_URL, IMAGE_URLS, NUM_IMAGES, SQUARE, FORMAT, SEED];
/// Documented for kling; assumed for the other video model. The duration is a string.
const VIDEO: &[Field] = &[
    PROMPT,
    optional("duration", Accepts::Choice(&["5", "10"]), Some("\"5\"")),
    optional("aspect_ratio", Accepts::Choice(&["16:9", "9:16"]), Some("\"16:9\"")),
    SEED,
];
/// Documented for all fine-tunes.
const FINE_TUNE: &[Field] = &[
    PROMPT,
    optional("lora_scale", Accepts::Number { least: 0.0, most: 4.0 }, Some("1")),
    NUM_IMAGES,
    IMAGE_SIZE,
    FORMAT,
    GUIDANCE,
    STEPS,
    optional("enable_safety_checker", Accepts::Boolean, Some("true")),
    IMAGE_URL,
    SEED,
];

const FLUX_PACE: Latency =
    Latency { from: std::time::Duration::from_millis(500), to: std::time::Duration::from_secs(2) };

const fn image(
    id: &'static str,
    provider: &'static str,
    price: u64,
    latency: Latency,
    fields: &'static [Field],
) -> Model {
    Model { id, provider, makes: Makes::Image, price: Credits::from_micros(price), latency, fields }
}

const fn video(id: &'static str, provider: &'static str, price: u64, latency: Latency) -> Model {
    Model {
        id,
        provider,
        makes: Makes::Video,
        price: Credits::from_micros(price),
        latency,
        fields: VIDEO,
    }
}

const fn fine_tune(id: &'static str) -> Model {
    image(id, "firemoon-studio", 35_000, FLUX_PACE, FINE_TUNE)
}

/// Every known model id. No prices are published, so these are the simulator's own, in millionths.
pub(super) const MODELS: &[Model] = &[
    image("flux/dev", "flux", 25_000, FLUX_PACE, FLUX),
    image("flux/schnell", "flux", 3_000, FLUX_PACE, FLUX),
    image("flux/pro", "flux", 50_000, FLUX_PACE, FLUX),
    image("flux-2-dev/edit", "flux", 24_000, FLUX_PACE, FLUX_EDIT),
    image("ideogram/v3", "ideogram", 60_000, Latency::seconds(5, 15), IDEOGRAM),
    image("ideogram/v3-turbo", "ideogram", 30_000, Latency::seconds(5, 15), IDEOGRAM),
    image(
        "ideogram/v3-character-edit",
        "ideogram",
        150_000,
        Latency::seconds(5, 15),
        IDEOGRAM_EDIT,
    ),
    image("nano-banana", "nano-banana", 39_000, Latency::seconds(2, 8), BANANA),
    image("nano-banana/edit", "nano-banana", 39_000, Latency::seconds(2, 8), BANANA_EDIT),
    image("nano-banana-pro/edit", "nano-banana", 150_000, Latency::seconds(2, 8), BANANA_EDIT),
    video("kling/kling-2-1-master", "kling", 280_000, Latency::seconds(10, 30)),
    video("minimax/hailuo-02", "minimax", 45_000, Latency::seconds(10, 30)),
    fine_tune("firemoon-studio/memphis-style"),
    fine_tune("firemoon-studio/better-faces"),
    fine_tune("firemoon-studio/cosplay-costumes"),
    fine_tune("firemoon-studio/detail-maximizer"),
    fine_tune("firemoon-studio/background-remover"),
];

/// The model of that id.
pub(super) fn find(id: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.id == id)
}

/// A model in `/api/models`. The real field names are unknown.
#[derive(Serialize)]
pub(super) struct Listing {
    id: &'static str,
    provider: &'static str,
    category: Makes,
    pricing: Pricing,
}

#[derive(Serialize)]
struct Pricing {
    credits: Credits,
    unit: &'static str,
}

/// A model in `/api/models-config/{id}`. The real field names are unknown.
#[derive(Serialize)]
pub(super) struct Configuration {
    #[serde(flatten)]
    listing: Listing,
    endpoint: String,
    parameters: Vec<Parameter>,
}

#[derive(Serialize)]
struct Parameter {
    name: &'static str,
    required: bool,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    choices: Option<&'static [&'static str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<f64>,
    #[serde(rename = "maxLength", skip_serializing_if = "Option::is_none")]
    longest: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<Box<RawValue>>,
}

impl Model {
    /// The model's entry in the public list, at this price.
    pub(super) fn listing(&self, price: Credits) -> Listing {
        let unit = self.unit();
        Listing {
            id: self.id,
            provider: self.provider,
            category: self.makes,
            pricing: Pricing { credits: price, unit },
        }
    }

    /// The same in another possible shape.
    pub(super) fn nested(&self, price: Credits) -> serde_json::Value {
        let billing = serde_json::json!({ "amount": price.to_string(), "for": self.unit() });
        serde_json::json!({ "modelId": self.id, "provider": self.provider, "billing": billing })
    }

    const fn unit(&self) -> &'static str {
        match self.makes {
            Makes::Image => "image",
            Makes::Video => "second",
        }
    }

    /// The model's published configuration, at this price.
    pub(super) fn configuration(&self, price: Credits) -> Configuration {
        Configuration {
            listing: self.listing(price),
            endpoint: format!("/api/v1/{}", self.id),
            parameters: self.fields.iter().map(Field::parameter).collect(),
        }
    }
}

impl Field {
    // The bounds are small, except "any seed", which may be rounded.
    #[allow(clippy::cast_precision_loss)]
    fn parameter(&self) -> Parameter {
        let mut parameter = Parameter {
            name: self.name,
            required: self.required,
            kind: "string",
            choices: None,
            minimum: None,
            maximum: None,
            longest: None,
            default: self.default.and_then(|json| RawValue::from_string(json.into()).ok()),
        };
        match self.accepts {
            Accepts::Text { longest } => parameter.longest = longest,
            Accepts::Choice(choices) => parameter.choices = Some(choices),
            Accepts::Ratio => {}
            Accepts::Integer { least, most } => {
                parameter.kind = "integer";
                parameter.minimum = Some(least as f64);
                parameter.maximum = (most < i64::MAX).then_some(most as f64);
            }
            Accepts::Number { least, most } => {
                parameter.kind = "number";
                (parameter.minimum, parameter.maximum) = (Some(least), Some(most));
            }
            Accepts::Boolean => parameter.kind = "boolean",
            Accepts::Texts => parameter.kind = "array",
        }
        parameter
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_latencies_are_the_default_ones() {
        for (id, from, to) in [
            ("flux/dev", 500, 2_000),
            ("ideogram/v3-character-edit", 5_000, 15_000),
            ("kling/kling-2-1-master", 10_000, 30_000),
        ] {
            let latency = find(id).unwrap().latency;
            let drawn: Vec<u128> =
                (0..40_000).map(|draw| latency.drawn(draw).as_millis()).collect();
            assert_eq!(
                (*drawn.iter().min().unwrap(), *drawn.iter().max().unwrap()),
                (from, to),
                "{id}"
            );
        }
    }

    #[test]
    fn every_model_has_its_own_price_prompt_and_id() {
        for (place, model) in MODELS.iter().enumerate() {
            assert!(model.price > Credits::ZERO, "{}", model.id);
            assert!(
                model.fields.iter().any(|field| field.name == "prompt" && field.required),
                "{}",
                model.id
            );
            assert!(
                MODELS.iter().skip(place + 1).all(|other| other.id != model.id),
                "{}",
                model.id
            );
        }
    }
}
