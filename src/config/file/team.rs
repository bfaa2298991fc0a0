//! Keys of teams, their limits, and the prices of models.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CreditsText, ShareText};
use crate::ledger::OnUnknown;
use crate::team::Limit;

/// A team.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Team {
    /// The models it may use: exact ids, `prefix/*` or `*`; a rule that begins with `!` denies, and
    /// wins. An empty list allows nothing.
    #[schemars(extend("x-required" = true))]
    pub models: Vec<String>,
    /// Limits of the whole team.
    pub limits: Limits,
    /// Limits of each of its users.
    pub user_limits: Limits,
    /// Its weight in the queue for the shared account, relative to the other teams'.
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u32,
    /// The time zone of its days and months; `null` uses the file's `time_zone`.
    pub time_zone: Option<String>,
    /// Whether the team is suspended: every call is refused with 403.
    pub suspended: bool,
    /// Users of the team who are suspended.
    pub suspended_users: Vec<String>,
}

impl Default for Team {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            limits: Limits::default(),
            user_limits: Limits::default(),
            weight: 1,
            time_zone: None,
            suspended: false,
            suspended_users: Vec::new(),
        }
    }
}

/// Limits, each optional.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Calls a second, refilled evenly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<Bucket>,
    /// Calls a minute, refilled evenly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<Bucket>,
    /// Calls an hour, refilled evenly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_hour: Option<Bucket>,
    /// Calls a calendar day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<Quota>,
    /// Calls a calendar month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_month: Option<Quota>,
    /// Credits a calendar day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credits_per_day: Option<Budget>,
    /// Credits a calendar month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credits_per_month: Option<Budget>,
    /// Prepaid credits: not reset by a new day or month; top-ups are added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credits_total: Option<Budget>,
    /// Calls open at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<Count>,
}

/// A limit that is refilled evenly: a number of calls, or `{ limit, burst, shadow }`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Bucket {
    /// The limit; up to as many calls may come at once.
    Plain(#[schemars(range(max = Limit::REQUESTS_MAX))] u64),
    /// The limit with options.
    Full(FullBucket),
}

/// A limit that is refilled evenly.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FullBucket {
    /// Calls in the period; 0 refuses all.
    #[schemars(extend("x-required" = true), range(max = Limit::REQUESTS_MAX))]
    pub limit: u64,
    /// How many may come at once; `null` uses the limit.
    #[schemars(range(min = 1, max = Limit::REQUESTS_MAX))]
    pub burst: Option<u64>,
    /// Whether the limit only counts and reports, and refuses nothing.
    pub shadow: bool,
}

/// A limit of a number of calls, or `{ limit, shadow }`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Count {
    /// The limit.
    Plain(#[schemars(range(max = Limit::REQUESTS_MAX))] u64),
    /// The limit with options.
    Full(FullCount),
}

/// A limit of a number of calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FullCount {
    /// Calls; 0 refuses all.
    #[schemars(extend("x-required" = true), range(max = Limit::REQUESTS_MAX))]
    pub limit: u64,
    /// Whether the limit only counts and reports, and refuses nothing.
    pub shadow: bool,
}

/// A limit of the calls of a day or a month, or `{ limit, shadow }`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Quota {
    /// The limit.
    Plain(#[schemars(range(max = Limit::QUOTA_MAX))] u64),
    /// The limit with options.
    Full(FullQuota),
}

/// A limit of the calls of a day or a month.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FullQuota {
    /// Calls; 0 refuses all.
    #[schemars(extend("x-required" = true), range(max = Limit::QUOTA_MAX))]
    pub limit: u64,
    /// Whether the limit only counts and reports, and refuses nothing.
    pub shadow: bool,
}

/// A limit of credits, or `{ limit, soft, shadow }`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Budget {
    /// The limit.
    Plain(CreditsText),
    /// The limit with options.
    Full(FullBudget),
}

/// A limit of credits.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FullBudget {
    /// Credits; 0 refuses all.
    #[schemars(extend("x-required" = true))]
    pub limit: CreditsText,
    /// Can warn at a threshold: the share of the budget at which a warning is sent, once a window;
    /// `null` sends none.
    pub soft: Option<ShareText>,
    /// Whether the limit only counts and reports, and refuses nothing.
    pub shadow: bool,
}

/// The prices of the models.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pricing {
    /// What a call with unknown outcome costs: one that timed out, got a 5xx, or lost its
    /// connection after it was sent.
    pub on_unknown: OnUnknown,
    /// What a call of a model without a price costs; `null` refuses it.
    pub unknown_model_credits: Option<CreditsText>,
    /// The prices, by model id.
    pub models: BTreeMap<String, Price>,
}

impl Default for Pricing {
    fn default() -> Self {
        Self { on_unknown: OnUnknown::Charge, unknown_model_credits: None, models: BTreeMap::new() }
    }
}

/// A model's price: at least one of `per_call`, `per_image` and `per_second`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// Credits for each call; 0 makes the model free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_call: Option<CreditsText>,
    /// Credits for each image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_image: Option<CreditsText>,
    /// Credits for each second of video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<CreditsText>,
    /// With `per_image`: the most images in one call; `null` is 4.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_max: Option<u64>,
    /// With `per_image`: the images made when a call gives no number; `null` is 1.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_default: Option<u64>,
    /// With `per_second`: the video lengths of the model, in seconds; the shortest is the default.
    /// `null` is `[5, 10]`.
    #[schemars(length(min = 1), inner(range(min = 1, max = 3600)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durations: Option<Vec<u64>>,
}
