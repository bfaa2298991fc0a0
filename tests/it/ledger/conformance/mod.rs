//! The ledger's contract as tests: every store runs exactly these cases, with `on_every_case!`.
//!
//! What the stores agree on, beyond what `Ledger` says:
//! - A bucket is brought up to now when a call takes a token from it, and only then: a refusal
//!   leaves it as it was. A shadow bucket gives no token to a call that a real one would have
//!   refused. A bucket of 0 calls never leaks.
//! - A deadline has passed at its very microsecond. What is overdue ends in the order of deadlines,
//!   then of ids. An operation on an overdue reservation that nothing has ended yet still counts.
//!   Admitting ends up to 8 of the team's other overdue reservations before it decides, even if it
//!   then refuses; other operations may do so too.

pub(crate) mod buckets;
pub(crate) mod calendar;
pub(crate) mod changes;
pub(crate) mod crowd;
pub(crate) mod harness;
pub(crate) mod limits;
pub(crate) mod names;
pub(crate) mod open_calls;
pub(crate) mod quotes;
pub(crate) mod readings;
pub(crate) mod recovery;
pub(crate) mod rows;
pub(crate) mod settling;
pub(crate) mod softs;
pub(crate) mod spend;
pub(crate) mod topups;
pub(crate) mod unread;
pub(crate) mod usage;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger::{Crossing, Ledger, Observer, OnUnknown, Retention, Swept, SweptCharge};
use moongate::store;
use moongate::team::TeamId;

/// How long a reservation lives unless renewed, in every bench.
pub(crate) const TTL: Duration = Duration::from_secs(30);
/// How long the past is kept, in every bench, and how much of it.
pub(crate) const RETENTION: Retention = Retention {
    rows: Duration::from_secs(400 * 24 * 3600),
    rows_max: Retention::ROWS_MIN,
    usage: Duration::from_secs(1830 * 24 * 3600),
};

/// Remembers which budgets passed their thresholds, and what was charged for calls that had been
/// left behind.
#[derive(Default)]
pub(crate) struct Watch {
    crossed: Mutex<Vec<(TeamId, Crossing)>>,
    charged: Mutex<Vec<(TeamId, SweptCharge)>>,
}

impl Watch {
    /// The thresholds passed since the last call of this.
    pub(crate) fn take_crossings(&self) -> Vec<(TeamId, Crossing)> {
        std::mem::take(&mut self.crossed.lock().unwrap())
    }

    /// What was charged since the last call of this, in the order of teams and models.
    pub(crate) fn take_charges(&self) -> Vec<(TeamId, SweptCharge)> {
        let mut charged = std::mem::take(&mut *self.charged.lock().unwrap());
        charged.sort_by(|(one, of_one), (other, of_other)| {
            (one, &of_one.model).cmp(&(other, &of_other.model))
        });
        charged
    }
}

impl store::Observer for Watch {
    fn operation(&self, _op: &'static str, _result: &'static str, _took: Duration) {}

    fn up(&self, _up: bool) {}
}

impl Observer for Watch {
    fn batch(&self, _size: usize) {}

    fn swept(&self, team: &TeamId, _swept: Swept, charges: &[SweptCharge]) {
        self.charged
            .lock()
            .unwrap()
            .extend(charges.iter().map(|charge| (team.clone(), charge.clone())));
    }

    fn crossed(&self, team: &TeamId, crossing: &Crossing) {
        self.crossed.lock().unwrap().push((team.clone(), crossing.clone()));
    }

    fn epoch_changed(&self, _team: &TeamId) {}
}

/// A store under test: a fresh, empty ledger, and handles to it.
pub(crate) trait Bench: Send + Sync + 'static {
    /// Whether a sweep forgets users and keys whose counts matter no more; else their records end
    /// with the server's own time.
    const FORGETS: bool = true;

    /// An empty ledger that tells the time by `clock`, with [`TTL`] and [`RETENTION`]; all its
    /// handles report to `watch`.
    fn start(
        clock: Clock,
        on_unknown: OnUnknown,
        watch: Arc<Watch>,
    ) -> impl Future<Output = Self> + Send;
    /// Another handle on the same state, as another replica holds one where the store can have
    /// several.
    fn handle(&self) -> impl Future<Output = Arc<dyn Ledger>> + Send;
}

/// Makes every case a test of the bench named.
macro_rules! on_every_case {
    ($bench:ty) => {
        $crate::ledger::conformance::on_cases! { $bench:
            limits::{
                every_kind_of_limit_refuses_on_every_level,
                a_refused_request_consumes_nothing_in_any_limit,
                statuses_tell_every_limit_in_the_order_asked,
                a_shadow_limit_reports_and_refuses_nobody,
                a_shadow_of_every_kind_refuses_nobody_on_any_level,
                a_refusal_reports_the_shadow_limits_it_would_have_passed,
                a_limit_of_zero_never_lets_anything_through,
                a_price_above_the_whole_budget_never_passes,
                the_limit_that_makes_the_caller_wait_longest_binds,
                of_two_equal_waits_the_first_limit_binds,
                a_budget_holds_to_the_last_millionth,
                the_largest_amounts_are_counted_exactly,
                a_free_call_passes_a_budget_that_is_used_up,
                a_call_without_limits_is_admitted_and_counted,
                a_slot_is_free_again_when_its_call_has_ended,
                two_teams_do_not_touch_each_other,
                asking_for_the_books_changes_nothing,
                the_store_answers_a_probe,
            }
            buckets::{
                a_bucket_gives_its_burst_then_one_at_a_time,
                a_fractional_wait_is_rounded_up_exactly,
                a_smaller_burst_bounds_what_comes_at_once,
                a_refusal_does_not_touch_the_bucket,
                tokens_used_are_rounded_up_and_the_reset_is_exact,
                a_long_rest_fills_a_bucket_once,
                time_going_backwards_never_refills,
                a_shadow_bucket_counts_as_a_real_one_would_refuse,
                the_largest_bucket_stays_exact,
            }
            settling::{
                a_settlement_charges_the_cost_and_returns_the_rest,
                a_settlement_never_charges_more_than_was_reserved,
                a_release_gives_back_windows_and_slots_but_no_tokens,
                a_call_the_upstream_refused_costs_nothing_and_counts,
                an_unknown_end_counts_the_call_and_its_charge,
                a_call_that_cost_nothing_still_counts_as_a_call,
                settling_again_changes_nothing,
                settling_what_never_was_changes_nothing,
                of_many_settlements_at_once_exactly_one_counts,
                the_same_id_admitted_twice_is_counted_once,
                a_repeated_admission_is_admitted_even_at_a_full_limit,
            }
            calendar::{
                a_call_is_settled_into_the_day_that_admitted_it,
                a_call_is_settled_into_the_month_that_admitted_it,
                an_abandoned_call_is_charged_to_its_admission_day,
                a_day_of_25_hours_is_one_window,
                a_day_of_23_hours_is_one_window,
                the_month_begins_at_midnight_of_the_team_s_zone,
                prepaid_credits_never_come_back,
                a_settlement_days_later_does_not_touch_today,
                a_changed_time_zone_keeps_windows_of_one_name,
                calls_across_window_edges_are_settled_where_they_began,
            }
            changes::{
                a_changed_limit_keeps_what_was_used,
                a_limit_below_use_refuses_until_the_window_ends,
                a_limit_set_later_knows_what_was_used_before,
                a_limit_removed_and_restored_knows_its_use,
                a_changed_bucket_keeps_the_tokens_taken,
                a_bucket_set_later_starts_full,
                lowered_slots_refuse_until_enough_calls_have_ended,
                a_shadow_limit_that_becomes_real_counts_what_passed_it,
            }
            recovery::{
                waiting_calls_are_released_and_sent_ones_become_unknown,
                when_unknown_is_released_the_call_counts_but_costs_nothing,
                what_a_sweep_charges_is_told_model_by_model_once,
                nothing_ends_before_its_deadline,
                a_deadline_has_passed_at_its_very_microsecond,
                a_renewed_reservation_lives_on,
                renewing_what_has_ended_revives_nothing,
                a_late_mark_or_renewal_counts_until_the_call_ends,
                a_dispatched_call_left_behind_is_never_free,
                what_was_swept_cannot_be_dispatched,
                dispatching_twice_is_dispatching_once,
                an_abandoned_call_that_was_turned_back_costs_nothing,
                a_sweep_ends_a_bounded_number_of_calls,
                a_sweep_ends_only_the_team_s_own,
                an_admission_frees_the_slots_that_were_left_behind,
                the_store_knows_its_teams_and_what_each_has_open,
            }
            unread::{
                an_unread_answer_keeps_only_its_slot_on_every_level,
                any_handle_can_release_a_kept_slot,
                a_call_whose_answer_is_unread_is_not_open,
                an_ended_call_stays_ended_while_its_answer_is_read,
                unread_answers_keep_slots_while_renewed,
                an_admission_frees_the_slots_of_abandoned_answers,
                releasing_slots_of_open_or_unknown_calls_changes_nothing,
            }
            rows::{
                a_row_tells_the_whole_call,
                rows_come_newest_first_and_as_many_as_asked,
                a_swept_row_has_nothing_that_came,
                the_rows_of_a_window_sum_to_what_it_counts,
                paging_through_all_rows_meets_each_once,
                the_newest_rows_stay_when_there_are_too_many,
                rows_of_calls_that_cost_nothing_give_way_first,
                rows_go_after_their_retention_and_their_usage_stays,
            }
            open_calls::{
                open_calls_are_told_newest_first_with_what_they_asked,
                only_a_teams_own_unfinished_calls_are_open,
                of_very_many_open_calls_the_newest_are_told,
            }
            spend::{
                what_teams_have_spent_is_shown_by_period,
            }
            usage::{
                a_days_usage_is_the_sum_of_its_rows,
                a_call_is_counted_in_the_year_that_admitted_it,
                a_day_is_the_team_s_own_where_clocks_change,
                usage_of_other_days_and_teams_is_not_told,
                odd_user_names_come_back_as_they_were,
                a_full_day_of_cells_loses_no_sum,
                usage_is_reported_for_exactly_its_retention,
            }
            quotes::{
                a_quote_says_what_an_admission_would_and_reserves_nothing,
                a_quote_tells_the_shadow_limits_it_would_have_passed,
                a_quote_finds_the_slots_that_were_left_behind,
            }
            readings::{
                readings_have_a_limit_of_their_own,
                a_reader_has_one_limit_over_all_replicas,
            }
            softs::{
                a_budget_notice_is_given_once_at_its_threshold,
                every_level_and_kind_of_budget_has_its_threshold,
                a_repeated_reservation_crosses_its_threshold_once,
                a_new_window_crosses_again,
                a_threshold_set_later_tells_at_the_next_call,
                of_many_parallel_calls_on_two_handles_one_crosses,
                a_prepaid_budget_crosses_again_once_it_was_topped_up,
                a_shadow_budget_is_told_of_as_well,
                a_refusal_and_a_quote_cross_nothing,
                the_threshold_of_the_largest_budget_is_exact,
            }
            topups::{
                a_top_up_raises_a_levels_total_budget,
                a_top_up_is_added_once_for_each_id,
                a_top_up_opens_a_prepaid_budget_of_nothing,
                a_changed_limit_keeps_the_top_ups,
                a_top_up_precedes_its_users_first_call,
                a_refusal_tells_the_limit_with_its_top_ups,
                top_ups_raise_no_other_budget,
                the_largest_top_ups_are_counted_exactly,
                parallel_top_ups_and_calls_never_overspend,
                a_top_up_of_one_team_is_not_another_s,
            }
            names::{
                odd_user_names_never_share_a_count,
                a_user_key_and_team_of_one_name_are_separate,
                teams_of_similar_names_are_apart,
            }
            crowd::{
                of_200_parallel_calls_exactly_10_pass,
                parallel_calls_never_overspend_a_budget,
                parallel_duplicates_of_one_call_are_admitted_once,
            }
        }
    };
}

macro_rules! on_cases {
    ($bench:ty: $($part:ident::{ $($case:ident),* $(,)? })*) => {
        $(mod $part {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    $crate::ledger::conformance::$part::$case::<$bench>().await;
                }
            )*
        })*
    };
}

pub(crate) use {on_cases, on_every_case};
