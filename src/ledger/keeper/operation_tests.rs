//! Operations: whether a caller waits, their share of a batch, and their answers.
use jiff::Timestamp;

use super::*;
use crate::credits::Credits;
use crate::ledger::Scope;
use crate::ledger::TopUpId;
use crate::ledger::machine::memory_records::{call, charged, of, team, user};

/// The answer to an operation, if there is one.
type Answered = Box<dyn FnOnce() -> Option<Result<(), Outage>>>;

/// One operation of each kind, with a check for its answer.
fn all() -> Vec<(Operation, Answered)> {
    fn with_answer<T: 'static>(
        operation: impl FnOnce(Response<T>) -> Operation,
    ) -> (Operation, Answered) {
        let (response, mut answer): (Response<T>, _) = oneshot::channel();
        let answered = move || answer.try_recv().ok().map(|answer| answer.map(drop));
        (operation(response), Box::new(answered))
    }
    let id = ReservationId::new();
    let admission = || Box::new(call([of(user("ana"), [])], 7));
    let top_up = TopUp { id: TopUpId::new(), scope: Scope::Team, credits: Credits::from_micros(5) };
    let query = SnapshotQuery {
        team: team(),
        levels: vec![of(Scope::Team, [])],
        time_zone: TimeZone::UTC,
        reader: None,
    };
    vec![
        with_answer(|response| Operation::Settle {
            settlement: Box::new(charged(id, 7)),
            response,
        }),
        with_answer(|response| Operation::ReleaseSlots { id, response }),
        with_answer(|response| Operation::Abandon { id, response }),
        with_answer(|response| Operation::Accept { response }),
        with_answer(|response| Operation::Admit { admission: admission(), response }),
        with_answer(|response| Operation::Quote { admission: admission(), response }),
        with_answer(|response| Operation::Dispatch { id, response }),
        with_answer(|response| Operation::Recall { id, response }),
        with_answer(|response| Operation::Renew { ids: vec![id; 3], response }),
        with_answer(|response| Operation::Sweep { response }),
        with_answer(|response| Operation::Snapshot { query: Box::new(query), response }),
        with_answer(|response| Operation::TopUp { top_up: Box::new(top_up), response }),
    ]
}

/// How many of them are carried out although no caller waits.
const IN_ANY_CASE: usize = 4;

#[test]
fn an_operation_nobody_waits_for_is_left_out() {
    for (place, (operation, answered)) in all().into_iter().enumerate() {
        assert!(!operation.is_abandoned(), "somebody waits for {place}");
        drop(answered);
        assert_eq!(operation.is_abandoned(), place >= IN_ANY_CASE, "{place}");
    }
}

#[test]
fn an_operation_weighs_as_much_as_it_renews() {
    let weights: Vec<_> = all().iter().map(|(operation, _)| operation.weight()).collect();
    assert_eq!(weights, [1, 1, 1, 1, 1, 1, 1, 1, 3, 1, 1, 1]);
    let (response, _answer) = oneshot::channel();
    assert_eq!(Operation::Renew { ids: Vec::new(), response }.weight(), 1);
}

#[test]
fn an_operation_names_what_it_looks_at() {
    let all = all();
    let of = |what: fn(&Operation) -> bool| -> Vec<usize> {
        let named = all.iter().enumerate().filter(|(_, (operation, _))| what(operation));
        named.map(|(place, _)| place).collect()
    };
    assert_eq!(of(|is| is.admission().is_some_and(|(_, reserves)| reserves)), [4]);
    assert_eq!(of(|is| is.admission().is_some_and(|(_, reserves)| !reserves)), [5]);
    assert_eq!(of(|is| is.marks().is_some_and(|(_, is)| is == Phase::Dispatched)), [6]);
    assert_eq!(of(|is| is.marks().is_some_and(|(_, is)| is == Phase::TurnedBack)), [7]);
    assert_eq!(of(|is| is.renews().len() == 3), [8]);
    assert_eq!(of(|is| is.levels().len() == 1), [4, 5, 10]);
    assert_eq!(of(|is| is.time_zone() == Some(&TimeZone::UTC)), [4, 5, 10]);
}

#[test]
fn an_operation_that_fails_says_so() {
    for (place, (operation, answered)) in all().into_iter().enumerate() {
        operation.fail(Outage::Lost);
        assert!(matches!(answered(), Some(Err(Outage::Lost))), "{place}");
    }
}

#[test]
fn an_operation_receives_its_own_answer_only() {
    let refused = || Answer::Verdict(refused());
    let settled = || Answer::Settled(Settled::Before);
    let snapshot = BudgetSnapshot { statuses: vec![], open: 1, refused: None, at: Timestamp::MIN };
    let answers = [
        settled(),
        Answer::Done,
        settled(),
        Answer::Done,
        refused(),
        refused(),
        Answer::IsOpen(true),
        Answer::IsOpen(true),
        Answer::Done,
        Answer::Swept(Swept::default()),
        Answer::Snapshot(snapshot),
        Answer::ToppedUp(ToppedUp::Taken),
    ];
    for ((operation, answered), answer) in all().into_iter().zip(answers) {
        operation.answer(answer, &team(), &Arc::default(), None);
        assert!(matches!(answered(), Some(Ok(()))));
    }
    for (operation, answered) in all() {
        let of_another =
            if operation.renews().is_empty() { Answer::Swept(Swept::default()) } else { settled() };
        let sweeps = matches!(operation, Operation::Sweep { .. });
        operation.answer(of_another, &team(), &Arc::default(), None);
        assert!(sweeps || matches!(answered(), Some(Err(Outage::Refused(_)))));
    }
}

const fn refused() -> Verdict {
    Verdict::Refused { statuses: Vec::new(), binding: 0, retry_at: None, at: Timestamp::MIN }
}

const fn admitted() -> Verdict {
    Verdict::Admitted { statuses: Vec::new(), at: Timestamp::MIN }
}

/// The answer to an admission, and the calls released if the answer is not taken.
fn claims(verdict: Verdict, void: Option<&Outage>, takes: bool) -> (Result<bool, Outage>, usize) {
    let abandoned = Arc::default();
    let (response, mut answer) = oneshot::channel();
    let admission = Box::new(call([], 7));
    Operation::Admit { admission, response }.answer(
        Answer::Verdict(verdict),
        &team(),
        &abandoned,
        void,
    );
    let answer = answer.try_recv().unwrap().map(|claim| takes && claim.take().is_some());
    (answer, abandoned.take(9).len())
}

/// A refused one reserves nothing.
#[test]
fn an_admission_that_nobody_takes_is_released() {
    assert!(matches!(claims(admitted(), None, false), (Ok(false), 1)));
    assert!(matches!(claims(admitted(), None, true), (Ok(true), 0)));
    assert!(matches!(claims(refused(), None, false), (Ok(false), 0)));
}

/// Too few replicas have it.
#[test]
fn an_admission_that_does_not_stand_is_released() {
    assert!(matches!(
        claims(admitted(), Some(&Outage::TimedOut), true),
        (Err(Outage::TimedOut), 1)
    ));
    assert!(matches!(claims(refused(), Some(&Outage::TimedOut), true), (Ok(true), 0)));
}
