//! Difference between the account's balance and the ledger since a base, in millionths.

/// The ledger's totals at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spending {
    /// Spent so far.
    pub(super) spent: u64,
    /// Reserved by open calls: the upstream may have charged it already.
    pub(super) reserved: u64,
    /// Charged so far for calls of unknown outcome: the upstream may not have charged it.
    pub(super) unknown_charged: u64,
    /// The rest of such calls' reserved prices: the upstream may have charged it.
    pub(super) unknown_not_charged: u64,
}

/// A balance, with the totals before and after it was read: settlements in between may count in
/// either.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) balance: u64,
    pub(super) before: Spending,
    pub(super) after: Spending,
}

/// One balance, tracked from a base.
#[derive(Debug, Default)]
pub(super) struct Tally {
    base: Option<Reading>,
    last: u64,
}

/// What a reading means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The first reading: nothing to compare yet.
    Begins,
    /// The balance rose: it was topped up, or something was refunded. Counting starts again.
    Rose {
        /// The amount.
        by: u64,
    },
    /// Since the base the upstream has charged this much more than the ledger.
    Drift {
        /// The whole difference.
        credits: i64,
        /// The part that open calls and calls of unknown outcome do not explain.
        unexplained: i64,
    },
}

impl Tally {
    pub(super) fn take(&mut self, reading: Reading) -> Meaning {
        let last = std::mem::replace(&mut self.last, reading.balance);
        let Some(base) = self.base else {
            self.base = Some(reading);
            return Meaning::Begins;
        };
        if reading.balance > last {
            self.base = Some(reading);
            return Meaning::Rose { by: reading.balance - last };
        }
        let taken = signed(base.balance) - signed(reading.balance);
        let since = |now: u64, then: u64| signed(now) - signed(then);
        let unknown = since(reading.after.unknown_charged, base.before.unknown_charged);
        let beyond = since(reading.after.unknown_not_charged, base.before.unknown_not_charged);
        // Calls that were open at the base may have been charged before it.
        let running = since(base.after.spent, base.before.spent) + signed(base.after.reserved);
        let least = since(reading.before.spent, base.before.spent) - unknown - running;
        let most =
            since(reading.after.spent, base.before.spent) + signed(reading.after.reserved) + beyond;
        let unexplained = if taken > most { taken - most } else { (taken - least).min(0) };
        Meaning::Drift {
            credits: taken - since(reading.before.spent, base.before.spent),
            unexplained,
        }
    }
}

fn signed(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(balance: u64, spent: u64) -> Reading {
        let ledger = Spending { spent, ..Spending::default() };
        Reading { balance, before: ledger, after: ledger }
    }

    fn drift(credits: i64, unexplained: i64) -> Meaning {
        Meaning::Drift { credits, unexplained }
    }

    #[test]
    fn what_is_spent_here_and_taken_there_is_no_drift() {
        let mut tally = Tally::default();
        assert_eq!(tally.take(quiet(1000, 70)), Meaning::Begins);
        assert_eq!(tally.take(quiet(900, 170)), drift(0, 0));
        assert_eq!(tally.take(quiet(880, 170)), drift(20, 20));
        assert_eq!(tally.take(quiet(880, 250)), drift(-60, -60));
    }

    #[test]
    fn calls_in_flight_explain_early_and_late_charges() {
        let mut tally = Tally::default();
        let held = |reserved| Spending { spent: 100, reserved, ..Spending::default() };
        tally.take(Reading { balance: 1000, before: held(0), after: held(40) });
        // The call open at the base had been charged before it; another is charged and not settled
        // yet.
        let settled = Spending { spent: 140, reserved: 25, ..Spending::default() };
        assert_eq!(
            tally.take(Reading { balance: 1000, before: settled, after: settled }),
            drift(-40, 0)
        );
        assert_eq!(
            tally.take(Reading { balance: 935, before: settled, after: settled }),
            drift(25, 0)
        );
        assert_eq!(
            tally.take(Reading { balance: 934, before: settled, after: settled }),
            drift(26, 1)
        );
    }

    #[test]
    fn calls_of_unknown_outcome_explain_what_was_taken_or_not() {
        let mut tally = Tally::default();
        tally.take(quiet(1000, 0));
        let ledger = Spending {
            spent: 50,
            unknown_charged: 30,
            unknown_not_charged: 10,
            ..Spending::default()
        };
        for (balance, expected) in [(980, drift(-30, 0)), (981, Meaning::Rose { by: 1 })] {
            assert_eq!(tally.take(Reading { balance, before: ledger, after: ledger }), expected);
        }
        let mut tally = Tally::default();
        tally.take(quiet(1000, 0));
        assert_eq!(
            tally.take(Reading { balance: 940, before: ledger, after: ledger }),
            drift(10, 0)
        );
        assert_eq!(
            tally.take(Reading { balance: 939, before: ledger, after: ledger }),
            drift(11, 1)
        );
    }

    #[test]
    fn a_balance_that_rises_begins_anew() {
        let mut tally = Tally::default();
        tally.take(quiet(10, 0));
        assert_eq!(tally.take(quiet(5, 0)), drift(5, 5));
        assert_eq!(tally.take(quiet(105, 0)), Meaning::Rose { by: 100 });
        assert_eq!(tally.take(quiet(95, 10)), drift(0, 0));
    }
}
