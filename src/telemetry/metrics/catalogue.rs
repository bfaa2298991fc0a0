//! The table of metrics: a field's name is the metric's name, its comment is the help text, its
//! labels stand beside it.

use prometheus::Registry;

use super::family::{Family, Single};
use super::series::{Counter, Gauge, Histogram, InFlight};

/// Credits are counted in millionths and shown as credits.
pub type CreditCounter = Counter<1_000_000>;
/// Video is counted in milliseconds and shown in seconds.
pub type VideoCounter = Counter<1_000>;

/// A whole request, from a cached catalogue page to the longest video.
const REQUEST: &[f64] =
    &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Buckets for each team: fewer, since every team has them.
const TEAM: &[f64] = &[0.005, 0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// The gateway's own work.
const OWN: &[f64] =
    &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];
/// The queue: nothing, or up to its longest wait.
const QUEUE: &[f64] = &[0.005, 0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];
/// The upstream: half a second for a quick image, minutes for a video.
const UPSTREAM: &[f64] = &[0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0];
/// One round trip to the store, up to its deadline and a little beyond.
const LEDGER: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];
/// Operations that were sent to the store together.
const BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// A metric's entry in the table, for tests of dashboards and the reference.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its full name.
    pub name: &'static str,
    /// Its help text.
    pub help: &'static str,
    /// Its labels, without a histogram's `le`.
    pub labels: &'static [&'static str],
}

macro_rules! catalogue {
    ($(
        $(#[doc = $help:literal])+
        $name:ident: $kind:ty = $labels:expr $(, in $buckets:expr)?;
    )*) => {
        /// Every metric of the gateway.
        #[derive(Clone, Debug)]
        pub struct Catalogue {
            $($(#[doc = $help])+ pub $name: $kind,)*
        }

        impl Catalogue {
            /// All entries, in the order of the table.
            pub const TABLE: &'static [Entry] = &[
                $(Entry {
                    name: concat!("moongate_", stringify!($name)),
                    help: concat!($($help),+).trim_ascii_start(),
                    labels: &$labels,
                },)*
            ];

            /// Makes every metric; `dropped` counts series that did not fit.
            pub(super) fn new(dropped: &Counter) -> prometheus::Result<Self> {
                Ok(Self {
                    $($name: <$kind>::new(
                        concat!("moongate_", stringify!($name)),
                        concat!($($help),+).trim_ascii_start(),
                        $labels,
                        catalogue!(@buckets $($buckets)?),
                        dropped,
                    )?,)*
                })
            }

            /// Registers every metric with this registry.
            pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
                $(registry.register(Box::new(self.$name.clone()))?;)*
                Ok(())
            }
        }
    };
    (@buckets) => { &[] };
    (@buckets $buckets:expr) => { $buckets };
}

catalogue! {
    /// Requests that ended, by route and status; 499 is a caller who left before the answer.
    http_requests_total: Family<Counter, 2> = ["route", "code"];
    /// Time from a request's head to the end of its answer's body.
    http_request_duration_seconds: Family<Histogram, 1> = ["route"], in REQUEST;
    /// Requests whose answer has not been written to its end.
    http_in_flight: Family<InFlight, 1> = ["route"];
    /// Connections to the team listener that are open.
    connections_open: Single<InFlight> = [];
    /// How many connections may be open: limits.connections_max, or fewer where the process may
    /// open fewer files.
    connections_max: Single<Gauge> = [];
    /// Times that callers had to wait to be accepted, by what was used up: connections_max,
    /// descriptors.
    accept_stalls_total: Family<Counter, 1> = ["reason"];
    /// The gateway's own time until the answer was ready, of requests that were not refused:
    /// without receiving the body, the queue, the upstream and a joined call.
    overhead_seconds: Single<Histogram> = [], in OWN;
    /// Requests of known teams, by outcome: ok, upstream_error, refused, abandoned.
    team_requests_total: Family<Counter, 3> = ["team", "model", "outcome"];
    /// Time of a team's generations, from authentication until the answer was ready, by outcome,
    /// since refusals are quick.
    team_request_duration_seconds: Family<Histogram, 2> = ["team", "outcome"], in TEAM;
    /// Requests of a team that are being worked on.
    team_in_flight: Family<InFlight, 1> = ["team"];
    /// Calls of a team that wait for the shared account, on this replica.
    team_queue_depth: Family<InFlight, 1> = ["team"];
    /// Time that calls waited for the shared account, where it has limits.
    queue_wait_seconds: Family<Histogram, 1> = ["team"], in QUEUE;
    /// Credits that the ledger charged for the team's calls: today, this month and last month in
    /// the team's time zone, and in total; read from the ledger, the same on every replica, so
    /// never summed over them.
    team_spent_credits: Family<Gauge, 3> = ["team", "model", "period"];
    /// Calls of the team that have ended, by outcome: charged, released (never sent), refused (by
    /// the upstream), unknown; read from the ledger, the same on every replica, so never summed
    /// over them.
    team_calls: Family<Gauge, 4> = ["team", "model", "period", "outcome"];
    /// Credits charged by settlements of this replica, including those of calls that other replicas
    /// left behind. The sum over all replicas is what the ledger charged, except for charges whose
    /// answer was lost: of a sweep, of a call that was cut off, of a replica that died.
    team_credits_total: Family<CreditCounter, 2> = ["team", "model"];
    /// Images delivered.
    team_images_total: Family<Counter, 2> = ["team", "model"];
    /// Seconds of video delivered.
    team_video_seconds_total: Family<VideoCounter, 2> = ["team", "model"];
    /// A team's limit, in calls, slots or credits, the same on every replica; +Inf once the limit
    /// is gone from the configuration.
    limit: Family<Gauge, 2> = ["team", "limit"];
    /// Used and reserved part of a team's limit, as last read from the ledger: the same on every
    /// replica, so never summed over them.
    limit_used: Family<Gauge, 2> = ["team", "limit"];
    /// When a limit's window ends or its bucket is full again, in Unix seconds, the same on every
    /// replica.
    limit_reset_timestamp_seconds: Family<Gauge, 2> = ["team", "limit"];
    /// Requests refused, by code and by the party at fault; the team is empty when it is unknown.
    refusals_total: Family<Counter, 3> = ["team", "reason", "source"];
    /// Requests that a limit refused, by the limit and its level.
    limit_refusals_total: Family<Counter, 2> = ["team", "limit"];
    /// Calls that a shadow limit would have refused.
    shadow_refusals_total: Family<Counter, 2> = ["team", "limit"];
    /// Budgets that reached their soft threshold.
    soft_limit_crossings_total: Family<Counter, 2> = ["team", "limit"];
    /// Notices to the webhook, by result: delivered, failed, dropped.
    webhook_notices_total: Family<Counter, 1> = ["result"];
    /// Settlements, by result: charged, released (never sent, or refused by the upstream: no
    /// credits), unknown, repeated. Each is counted once, by the replica that ended the
    /// reservation.
    settlements_total: Family<Counter, 1> = ["result"];
    /// Open reservations of the team on all replicas, read from the ledger: the same on every
    /// replica, so never summed over them.
    reservations_open: Family<Gauge, 1> = ["team"];
    /// Abandoned reservations that a sweep or an admission ended. Each is counted once, by the
    /// replica that ended it.
    reservations_swept_total: Family<Counter, 1> = ["team"];
    /// Credentials judged, by kind (jwt, key) and result.
    authentications_total: Family<Counter, 2> = ["kind", "result"];
    /// Attempts to read an issuer's key set.
    jwks_refreshes_total: Family<Counter, 2> = ["issuer", "result"];
    /// Time since an issuer's key set was last read.
    jwks_age_seconds: Family<Gauge, 1> = ["issuer"];
    /// Calls to the upstream, by its status, or by the refusal's code when it gave none.
    upstream_requests_total: Family<Counter, 2> = ["model", "code"];
    /// Time a call spent at the upstream.
    upstream_duration_seconds: Family<Histogram, 1> = ["model"], in UPSTREAM;
    /// Whether a shared key is in use (1), or in cooldown because the upstream refuses it (0).
    upstream_key_healthy: Family<Gauge, 1> = ["key"];
    /// Calls left in the shared account's windows: minute, day and month as the gateway counts
    /// them; told as the upstream last reported.
    upstream_limit_remaining: Family<Gauge, 2> = ["key", "window"];
    /// The balance of the shared account, as it was last read with this key.
    upstream_balance_credits: Family<Gauge, 1> = ["key"];
    /// Credits that the account was charged beyond the ledger's, since the process began or the
    /// balance rose.
    upstream_drift_credits: Family<Gauge, 1> = ["key"];
    /// Whether calls are refused because the upstream fails repeatedly.
    upstream_breaker_open: Single<Gauge> = [];
    /// Models, by how their configured price compares with the upstream's catalogue as last read:
    /// same, dearer, cheaper, other_unit, missing, unlisted.
    upstream_prices: Family<Gauge, 1> = ["state"];
    /// Answers that contained the shared key, which was blanked.
    upstream_tripwire_total: Single<Counter> = [];
    /// Operations on the ledger's store.
    ledger_operations_total: Family<Counter, 2> = ["op", "result"];
    /// Time of an operation on the ledger's store.
    ledger_operation_seconds: Family<Histogram, 1> = ["op"], in LEDGER;
    /// Admissions that went to the store in one call.
    ledger_batch_size: Single<Histogram> = [], in BATCH;
    /// Whether the ledger's store answers.
    ledger_up: Single<Gauge> = [];
    /// Losses of writes by the ledger's store (flushed, an older copy, a failed-over primary), one
    /// for each affected team.
    ledger_epoch_changes_total: Single<Counter> = [];
    /// Calls that were not made again: answered with the stored response (replayed, joined), looked
    /// up by id (fetched), refused (mismatch).
    replays_total: Family<Counter, 1> = ["kind"];
    /// When the first of a team's gateway keys expires, in Unix seconds, as this replica knows
    /// them; +Inf while none of them will.
    key_expiry_timestamp_seconds: Family<Gauge, 1> = ["team"];
    /// When the certificate of the team listener ends, in Unix seconds: the first of its chain;
    /// +Inf without listen.tls.
    certificate_expiry_timestamp_seconds: Single<Gauge> = [];
    /// Whether the last attempt to read the configuration succeeded.
    config_last_reload_success: Single<Gauge> = [];
    /// When the configuration was last read with success, in Unix seconds.
    config_last_reload_timestamp_seconds: Single<Gauge> = [];
    /// Always 1; the version and the commit it was built from are labels.
    build_info: Family<Gauge, 2> = ["version", "commit"];
    /// Spans of recorded traces, by result: exported, dropped (no room, or the process ended),
    /// failed (the collector did not take them).
    trace_spans_total: Family<Counter, 1> = ["result"];
    /// Log lines dropped because standard output did not take them in time.
    log_lines_dropped_total: Single<Counter> = [];
    /// Lookups of series beyond the most a metric may have; what they count goes under the label
    /// _overflow.
    metric_series_dropped_total: Single<Counter> = [];
}
