//! The embedded ledger: the contract, the random lives, and what a file must survive.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::ledger::embedded::{EmbeddedLedger, OpenError, Settings};
use moongate::ledger::{
    Ledger, OnUnknown, Outcome, ReservationId, Retention, Scope, Settled, TopUp, TopUpId, ToppedUp,
    Unobserved, Verdict,
};
use moongate::team::{LimitKind, TeamId};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::ledger::conformance::harness::{
    Fixture, MORNING, PRICE, call, credits, limit, moment, settlement, user,
};
use crate::ledger::conformance::{Bench, RETENTION, TTL, Watch, on_every_case};
use crate::ledger::model::{
    headers_say_how_many_calls_still_pass, random_lives_match_the_plain_model,
};

/// One file in a folder of its own; handles are clones, since a file has one process.
struct OneFile {
    ledger: EmbeddedLedger,
    _folder: TempDir,
}

impl Bench for OneFile {
    async fn start(clock: Clock, on_unknown: OnUnknown, watch: Arc<Watch>) -> Self {
        let folder = TempDir::new().unwrap();
        let settings = Settings { on_unknown, ..settings(&folder.path().join("ledger.db"), clock) };
        Self { ledger: EmbeddedLedger::open(settings, watch).unwrap(), _folder: folder }
    }

    async fn handle(&self) -> Arc<dyn Ledger> {
        Arc::new(self.ledger.clone())
    }
}

on_every_case!(OneFile);

#[test]
fn random_lives_of_an_embedded_ledger_match_the_plain_model() {
    random_lives_match_the_plain_model::<OneFile>();
}

#[test]
fn the_headers_say_how_many_calls_still_pass() {
    headers_say_how_many_calls_still_pass::<OneFile>();
}

fn settings(path: &Path, clock: Clock) -> Settings {
    let on_unknown = OnUnknown::Charge;
    Settings {
        path: path.to_owned(),
        reservation_ttl: TTL,
        retention: RETENTION,
        on_unknown,
        clock,
    }
}

/// A ledger in a folder that outlives it.
fn open_in(folder: &TempDir, clock: &Clock) -> Result<EmbeddedLedger, OpenError> {
    EmbeddedLedger::open(
        settings(&folder.path().join("ledger.db"), clock.clone()),
        Arc::new(Unobserved),
    )
}

/// A fixture at a ledger whose file is already there.
fn desk_at(ledger: EmbeddedLedger, folder: TempDir, clock: &Clock) -> Fixture<OneFile> {
    let shared: Arc<dyn Ledger> = Arc::new(ledger.clone());
    Fixture {
        bench: OneFile { ledger, _folder: folder },
        clock: clock.clone(),
        ledger: shared,
        watch: Arc::default(),
    }
}

#[tokio::test]
async fn a_ledger_closed_and_opened_again_has_forgotten_nothing() {
    let (folder, clock) = (TempDir::new().unwrap(), Clock::moved(moment(MORNING)));
    let call = call().limits(LimitKind::ALL.map(|kind| limit(kind, 1_000_000))).user("ana", []);
    let first = desk_at(open_in(&folder, &clock).unwrap(), TempDir::new().unwrap(), &clock);
    first.pay(&call).await;
    let (open, waiting) = (first.admit(&call).await, first.admit(&call.clone().waiting()).await);
    let top_up = TopUp { id: TopUpId::new(), scope: Scope::Team, credits: credits(PRICE) };
    assert_eq!(
        first.ledger.top_up(&call.team, top_up.clone()).await.unwrap(),
        ToppedUp::Now(credits(PRICE))
    );
    let before = (first.snapshot(&call).await.statuses, first.rows(&call).await);
    drop(first);

    let again = desk_at(open_in(&folder, &clock).unwrap(), folder, &clock);
    assert_eq!((again.snapshot(&call).await.statuses, again.rows(&call).await), before);
    assert_eq!(
        again.ledger.top_up(&call.team, top_up).await.unwrap(),
        ToppedUp::Before(credits(PRICE))
    );
    assert!(again.ledger.dispatch(&call.team, waiting).await.unwrap());
    assert_eq!(
        again.settle(&call, open, Outcome::Charged, PRICE).await,
        Settled::Now(credits(PRICE))
    );
    again.pass(TTL);
    assert_eq!(again.sweep(&call).await.unknown, 1);
    assert_eq!(again.counted(&call, LimitKind::CreditsTotal).await, (3 * PRICE, 0));
}

#[tokio::test]
async fn opening_the_file_twice_is_a_clear_error() {
    let (folder, clock) = (TempDir::new().unwrap(), Clock::moved(moment(MORNING)));
    let held = open_in(&folder, &clock).unwrap();
    let error = open_in(&folder, &clock).err().expect("two ledgers on one file");
    assert!(matches!(&error, OpenError::InUse { path } if path.ends_with("ledger.db")));
    assert!(error.to_string().contains("in use by another process"), "{error}");
    held.probe().await.unwrap();
    drop(held);
    open_in(&folder, &clock).unwrap().probe().await.unwrap();
}

#[test]
fn a_file_that_is_no_ledger_is_refused_untouched() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let text = "limits: { requests_per_minute: 6 }\n".repeat(400);
    std::fs::write(&path, &text).unwrap();
    let error = open_in(&folder, &Clock::system()).err().expect("a text opened as a ledger");
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let nowhere = EmbeddedLedger::open(
        settings(&folder.path().join("no/such/ledger.db"), Clock::system()),
        Arc::new(Unobserved),
    );
    assert!(matches!(nowhere.err(), Some(OpenError::Unusable { .. })));
}

#[tokio::test]
async fn rows_go_after_their_retention_and_windows_keep_counting() {
    let (folder, clock) = (TempDir::new().unwrap(), Clock::moved(moment(MORNING)));
    let path = folder.path().join("ledger.db");
    let day = Duration::from_secs(24 * 3600);
    let short = Settings {
        retention: Retention { rows: day, ..RETENTION },
        ..settings(&path, clock.clone())
    };
    let fixture =
        desk_at(EmbeddedLedger::open(short, Arc::new(Unobserved)).unwrap(), folder, &clock);
    for _ in 0..300 {
        fixture.pay(&call()).await;
    }
    fixture.pass(day + Duration::from_micros(1));
    fixture.pay(&call()).await;
    assert_eq!(fixture.rows(&call()).await.len(), 299, "a new row removes up to two old ones");
    for left in [171, 43, 1, 1] {
        fixture.sweep(&call()).await;
        assert_eq!(fixture.rows(&call()).await.len(), left, "a sweep removes up to 128 more");
    }
    assert_eq!(fixture.counted(&call(), LimitKind::CreditsTotal).await, (301 * PRICE, 0));
}

#[tokio::test]
async fn a_clock_that_had_been_far_ahead_locks_nobody_out() {
    let fixture = Fixture::<OneFile>::open_at("2036-01-01T00:00:00Z").await;
    let call = call()
        .limits([limit(LimitKind::RequestsPerMinute, 2), limit(LimitKind::RequestsPerDay, 100)]);
    fixture.admit(&call).await;
    fixture.admit(&call).await;
    fixture.set(MORNING);
    assert_eq!(
        fixture.refuse(&call).await.retry_at,
        Some(fixture.clock.now() + Duration::from_secs(30))
    );
    fixture.pass(Duration::from_secs(30));
    fixture.admit(&call).await;
    fixture.refuse(&call).await;
}

/// Where a child process finds the file it shall work on until it is killed.
const CHILD_FILE: &str = "MOONGATE_TEST_LEDGER_FILE";

/// Admits and settles for as long as it lives, and says so line by line, but nothing before it was
/// answered.
async fn work_until_killed(path: &Path) {
    let ledger =
        EmbeddedLedger::open(settings(path, Clock::system()), Arc::new(Unobserved)).unwrap();
    let mut callers = JoinSet::new();
    for number in 0..8 {
        let ledger = ledger.clone();
        let call = call().user(&format!("user {number}"), []);
        callers.spawn(async move {
            loop {
                let id = ReservationId::new();
                let verdict = ledger.admit(call.admission(id)).await.unwrap();
                assert!(matches!(verdict, Verdict::Admitted { .. }));
                say("admitted", id);
                ledger.settle(&call.team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
                say("settled", id);
            }
        });
    }
    callers.join_all().await;
}

/// Prints one whole line, even if the process is killed while others print.
fn say(word: &str, id: ReservationId) {
    let line = format!("\n{word} {id}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Starts this very test in a process of its own, kills it once it has answered enough, and returns
/// what it had said.
fn answers_of_a_killed_child(test: &str, path: &Path) -> Vec<(String, ReservationId)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD_FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = Vec::new();
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((word @ ("admitted" | "settled"), id)) = line.split_once(' ') {
            answers.push((word.to_owned(), id.parse().unwrap()));
        }
        if answers.len() >= 500 && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(killed && !child.wait().unwrap().success());
    answers
}

#[tokio::test]
async fn a_process_killed_at_work_has_kept_everything_it_answered() {
    if let Some(path) = std::env::var_os(CHILD_FILE) {
        return work_until_killed(Path::new(&path)).await;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ledger.db");
    let test = "ledger::embedded::a_process_killed_at_work_has_kept_everything_it_answered";
    let answers = answers_of_a_killed_child(test, &path);

    let clock = Clock::system();
    let fixture = desk_at(
        EmbeddedLedger::open(settings(&path, clock.clone()), Arc::new(Unobserved)).unwrap(),
        folder,
        &clock,
    );
    let rows = fixture.rows(&call()).await;
    let open = fixture.snapshot(&call()).await.open;
    let (used, reserved) = fixture.counted_at(&call(), Scope::Team, LimitKind::CreditsTotal).await;
    assert_eq!((used, reserved), (rows.len() as u64 * PRICE, open * PRICE), "the counts add up");
    assert!(open <= 8, "{open} open: more than were in flight");
    let team = TeamId::parse("design").unwrap();
    for (word, id) in answers {
        let in_rows = rows.iter().any(|row| row.id == id);
        let still_open = !in_rows && fixture.ledger.dispatch(&team, id).await.unwrap();
        assert!(in_rows || (word == "admitted" && still_open), "{word} {id} is lost");
    }
    assert_eq!(
        fixture.counted_at(&call(), user("user 0"), LimitKind::CreditsTotal).await.0 % PRICE,
        0
    );
}

#[tokio::test]
async fn an_admission_whose_asker_leaves_before_the_answer_holds_nothing() {
    let (folder, clock) = (TempDir::new().unwrap(), Clock::moved(moment(MORNING)));
    let ledger = open_in(&folder, &clock).unwrap();
    let fixture = desk_at(ledger, folder, &clock);
    for _ in 0..20 {
        let mut admit = fixture.ledger.admit(call().admission(ReservationId::new()));
        assert!(futures_util::poll!(&mut admit).is_pending());
        drop(admit);
    }
    assert_eq!(fixture.snapshot(&call()).await.open, 0);
}
