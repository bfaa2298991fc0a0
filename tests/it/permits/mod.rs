//! The shared account's permits as tests: both stores run exactly these cases.

pub(crate) mod harness;
mod line;
mod stores;
mod windows;

/// Makes every case a test of the bench named.
macro_rules! on_every_case {
    ($bench:ty) => {
        $crate::permits::on_cases! { $bench:
            windows::{
                as_many_as_the_minute_allows_pass_at_once_and_the_next_waits_for_the_next_minute,
                every_window_of_the_account_and_of_a_key_holds,
                all_keys_together_have_no_more_than_the_account,
                a_key_without_room_leaves_the_call_to_the_next,
                of_parallel_calls_on_two_replicas_exactly_as_many_pass_as_may,
                a_changed_limit_keeps_what_was_taken,
                a_permit_given_back_makes_room_once,
                a_permit_of_an_earlier_minute_makes_no_room_in_this_one,
                what_the_upstream_tells_tightens_and_never_loosens,
                what_the_upstream_told_ends_with_its_window,
                a_clock_that_goes_back_refills_nothing,
                what_is_left_is_told_of_every_window_that_has_a_limit,
            }
            line::{
                the_calls_of_a_team_pass_in_the_order_in_which_they_came,
                twice_the_weight_is_twice_the_calls_also_over_two_replicas,
                a_team_that_asks_for_much_delays_no_other,
                who_comes_when_others_wait_does_not_overtake_them,
                who_waits_only_for_a_full_key_holds_up_nobody,
                who_leaves_the_line_frees_the_place_for_the_next,
                a_full_line_takes_nobody_and_a_full_team_nobody_of_the_team,
                asking_twice_takes_one_place_and_one_permit,
                the_places_of_a_dead_replica_vanish,
                a_permit_that_nobody_heard_of_is_given_back,
                a_permit_that_was_heard_of_stays_taken,
                who_is_turned_back_by_the_upstream_comes_first_again,
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
