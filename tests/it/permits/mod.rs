//! The shared account's permits as tests: both stores run exactly these cases.

pub(crate) mod harness;
mod queue;
mod stores;
mod windows;

/// Makes every case a test of the bench named.
macro_rules! on_every_case {
    ($bench:ty) => {
        $crate::permits::on_cases! { $bench:
            windows::{
                calls_beyond_a_minutes_limit_wait_for_the_next,
                every_window_of_the_account_and_of_a_key_holds,
                all_keys_together_have_no_more_than_the_account,
                when_a_key_has_no_room_the_next_is_used,
                of_parallel_calls_on_two_replicas_exactly_the_limit_passes,
                a_changed_limit_keeps_what_was_taken,
                a_permit_given_back_makes_room_once,
                an_earlier_minutes_permit_frees_nothing_in_this_one,
                the_upstreams_reports_tighten_and_never_loosen,
                an_upstream_report_ends_with_its_window,
                a_clock_that_goes_back_refills_nothing,
                what_is_left_of_every_limited_window_is_reported,
            }
            queue::{
                a_teams_calls_pass_in_order,
                twice_the_weight_is_twice_the_calls,
                a_team_that_asks_for_much_delays_no_other,
                a_new_call_does_not_overtake_waiting_calls,
                a_call_waiting_for_a_full_key_delays_no_other,
                a_call_that_leaves_the_queue_moves_the_next_up,
                a_full_queue_or_team_share_takes_no_more,
                asking_twice_takes_one_position_and_one_permit,
                queue_positions_of_a_dead_replica_vanish,
                a_permit_its_replica_never_learned_of_is_given_back,
                a_permit_its_replica_knows_of_stays_taken,
                a_call_turned_back_by_the_upstream_comes_first_again,
                a_waiting_call_may_come_to_use_another_key,
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
                    $crate::permits::$part::$case::<$bench>().await;
                }
            )*
        })*
    };
}

use {on_cases, on_every_case};
