//! Teams, their limits, and what models cost, as the file writes them.

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
    /// The models it may use: exact ids, `prefix/*` or `*`; `!` in front denies, and wins. An empty list allows nothing.
    #[schemars(extend("x-required" = true))]
    pub models: Vec<String>,
    /// What the whole team may spend.
    pub limits: Limits,
    /// What each of its users may spend.
    pub user_limits: Limits,
    /// Its share of the shared account when that is scarce, against the other teams' weights.
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u32,
    /// Where its days and months begin; `null` is the `time_zone` of the whole file.
    pub time_zone: Option<String>,
    /// Whether its access is taken away: every call is refused with 403.
    pub suspended: bool,
    /// Users of the team whose access is taken away.
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

/// Limits, each optional: what is not named is not limited.
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
    /// Prepaid credits: no day or month gives them back; top-ups are added to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credits_total: Option<Budget>,
    /// Calls at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<Count>,
}

/// A limit that is refilled evenly: a number of calls, or `{ limit, burst, shadow }`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Bucket {
    /// The limit; as many calls may come at once.
    Plain(#[schemars(range(max = Limit::REQUESTS_MAX))] u64),
    /// The limit, and more about it.
    Full(FullBucket),
}

/// A limit that is refilled evenly.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FullBucket {
    /// Calls in the period; 0 lets nothing through.
    #[schemars(extend("x-required" = true), range(max = Limit::REQUESTS_MAX))]
    pub limit: u64,
    /// How many may come at once; `null` is as many as the limit.
    #[schemars(range(min = 1, max = Limit::REQUESTS_MAX))]
    pub burst: Option<u64>,
    /// Whether the limit is only counted and reported, and refuses nobody.
    pub shadow: bool,
}

/// A limit of a number of calls, or `{ limit, shadow }`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Count {
    /// The limit.
    Plain(#[schemars(range(max = Limit::REQUESTS_MAX))] u64),
    /// The limit, and more about it.
    Full(FullCount),
}

/// A limit of a number of calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FullCount {
    /// Calls; 0 lets nothing through.
    #[schemars(extend("x-required" = true), range(max = Limit::REQUESTS_MAX))]
    pub limit: u64,
    /// Whether the limit is only counted and reported, and refuses nobody.
    pub shadow: bool,
}

/// A limit of the calls of a day or a month, or `{ limit, shadow }`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Quota {
    /// The limit.
    Plain(#[schemars(range(max = Limit::QUOTA_MAX))] u64),
    /// The limit, and more about it.
    Full(FullQuota),
}

/// A limit of the calls of a day or a month.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FullQuota {
    /// Calls; 0 lets nothing through.
    #[schemars(extend("x-required" = true), range(max = Limit::QUOTA_MAX))]
    pub limit: u64,
    /// Whether the limit is only counted and reported, and refuses nobody.
    pub shadow: bool,
}

/// A limit of credits, or `{ limit, soft, shadow }`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Budget {
    /// The limit.
    Plain(CreditsText),
    /// The limit, and more about it.
    Full(FullBudget),
}

/// A limit of credits.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FullBudget {
    /// Credits; 0 lets nothing through.
    #[schemars(extend("x-required" = true))]
    pub limit: CreditsText,
    /// The share of it from which on it is told of as nearly used up, once a window; `null` tells of nothing.
    pub soft: Option<ShareText>,
    /// Whether the limit is only counted and reported, and refuses nobody.
    pub shadow: bool,
}

/// What models cost.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pricing {
    /// What a call costs whose outcome nobody knows: a time-out, a 5xx, or a broken connection after it was sent.
    pub on_unknown: OnUnknown,
    /// What a call of a model without a price costs; `null` refuses such calls.
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
    /// With `per_image`: the most images one call may ask for; `null` is 4.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_max: Option<u64>,
    /// With `per_image`: the images that come when a call names no number; `null` is 1.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_default: Option<u64>,
    /// With `per_second`: the lengths of video the model makes, in seconds; the shortest comes when a call names none. `null` is `[5, 10]`.
    #[schemars(length(min = 1), inner(range(min = 1, max = 3600)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durations: Option<Vec<u64>>,
}
