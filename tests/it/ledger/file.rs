//! What the file of an embedded ledger must survive: being killed again and again at any moment,
//! and being damaged.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moongate::clock::Clock;
use moongate::ledger::embedded::{EmbeddedLedger, Settings};
use moongate::ledger::{
    Ledger, OnUnknown, Outcome, ReservationId, Retention, SnapshotQuery, Unobserved, Verdict,
};
use moongate::team::LimitKind;
use tokio::task::JoinSet;

use crate::ledger::conformance::TTL;
use crate::ledger::conformance::harness::{Call, MORNING, PRICE, call, limit, moment, settlement};

/// Where a child process finds the file it shall work on until it is killed, and in which of its
/// lives.
const CHILD_FILE: &str = "MOONGATE_TEST_LEDGER_LIFE";
const LIVES: u32 = 8;
const CALLERS: usize = 8;
/// The number of places at which a file is cut, and spoilt.
const PARTS: usize = 32;
/// How many calls the budget is for: more than one life can make, fewer than all of them.
const PAID: u64 = 2_500;

fn open(path: &Path, clock: &Clock) -> Result<EmbeddedLedger, String> {
    let settings = Settings {
        path: path.to_owned(),
        reservation_ttl: TTL,
        retention: Retention::default(),
        on_unknown: OnUnknown::Charge,
        clock: clock.clone(),
    };
    EmbeddedLedger::open(settings, Arc::new(Unobserved)).map_err(|error| error.to_string())
}

/// Each life begins an hour after the one before: what that left behind is overdue.
fn time_of(life: u32) -> Clock {
    Clock::moved(moment(MORNING) + Duration::from_secs(3600) * life)
}

fn budgeted(number: usize) -> Call {
    let budget = limit(LimitKind::CreditsTotal, PAID * PRICE);
    call()
        .limits([budget, limit(LimitKind::Concurrent, CALLERS as u64)])
        .user(&format!("user {number}"), [])
}

/// A ledger that is opened and asked for everything it knows.
struct Known {
    ledger: EmbeddedLedger,
    /// Spent and held, of the team.
    counted: (u64, u64),
    open: u64,
    rows: Vec<(ReservationId, u64)>,
}

impl Known {
    /// What is known, if the file can be opened and read; it must agree with itself.
    async fn of(path: &Path, clock: &Clock) -> Result<Self, String> {
        let ledger = open(path, clock)?;
        let Call { team, levels, zone, .. } = budgeted(0);
        let query = SnapshotQuery { team: team.clone(), levels, time_zone: zone, reader: None };
        let snapshot = ledger.snapshot(query).await.map_err(|outage| outage.to_string())?;
        let rows = ledger.rows(&team, 0, 100_000).await.map_err(|outage| outage.to_string())?.rows;
        let rows: Vec<_> = rows.iter().map(|row| (row.id, row.charged.micros())).collect();
        let budget =
            snapshot.statuses.iter().find(|status| status.kind == LimitKind::CreditsTotal).unwrap();
        let counted = (budget.used, budget.reserved);
        assert_eq!(
            counted,
            (rows.iter().map(|(_, charged)| charged).sum(), snapshot.open * PRICE),
            "the counts add up"
        );
        assert!(counted.0 + counted.1 <= PAID * PRICE, "no budget is passed: {counted:?}");
        assert_eq!(
            rows.iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len(),
            rows.len(),
            "no call has two rows"
        );
        Ok(Self { ledger, counted, open: snapshot.open, rows })
    }
}

/// Admits and settles for as long as it lives or the budget lasts, and says so, but nothing before
/// it was answered.
async fn work_until_killed(path: &Path, life: u32) {
    let ledger = open(path, &time_of(life)).unwrap();
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let (ledger, call) = (ledger.clone(), budgeted(number));
        callers.spawn(async move {
            loop {
                let id = ReservationId::new();
                let verdict = ledger.admit(call.admission(id)).await.unwrap();
                let Verdict::Admitted { .. } = verdict else { return say("refused", id) };
                say("admitted", id);
                ledger.settle(&call.team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
                say("settled", id);
            }
        });
    }
    callers.join_all().await;
    // The test kills this process in any case.
    std::future::pending::<()>().await;
}

/// Prints one whole line, even if the process is killed while others print.
fn say(word: &str, id: ReservationId) {
    std::io::stdout().lock().write_all(format!("\n{word} {id}\n").as_bytes()).unwrap();
}

/// What a process said in one life that ended after so many answers, or when all its callers were
/// refused.
fn live(path: &Path, life: u32, answers_most: usize) -> Vec<(String, ReservationId)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "ledger::file::killed_again_and_again_it_has_kept_everything_it_answered",
            "--nocapture",
        ])
        .env(CHILD_FILE, format!("{life} {}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut answers, mut refused, mut killed) = (Vec::new(), 0, false);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.split_once(' ') {
            Some((word @ ("admitted" | "settled"), id)) => {
                answers.push((word.to_owned(), id.parse().unwrap()))
            }
            Some(("refused", _)) => refused += 1,
            Some(_) | None => {}
        }
        if !killed && (answers.len() >= answers_most || refused == CALLERS) {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(killed && !child.wait().unwrap().success());
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_it_has_kept_everything_it_answered() {
    if let Ok(task) = std::env::var(CHILD_FILE) {
        let (life, path) = task.split_once(' ').unwrap();
        return work_until_killed(Path::new(path), life.parse().unwrap()).await;
    }
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    eprintln!("the lives of this seed: {seed}");
    let (folder, mut answers, mut at) = (tempfile::tempdir().unwrap(), Vec::new(), seed);
    let path = folder.path().join("ledger.db");
    for life in 0..LIVES {
        // Numerical Recipes' generator: between nothing and a part of the budget.
        at = at.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        answers.extend(live(&path, life, (at >> 16) as usize % 1_500));
        let known = Known::of(&path, &time_of(life)).await.unwrap();
        assert!(known.open <= CALLERS as u64, "{} open: more than were in flight", known.open);
        let rows: BTreeSet<_> = known.rows.iter().map(|(id, _)| *id).collect();
        for (word, id) in &answers {
            let held =
                !rows.contains(id) && known.ledger.dispatch(&call().team, *id).await.unwrap();
            assert!(
                rows.contains(id) || (word == "admitted" && held),
                "life {life}: {word} {id} is lost"
            );
        }
    }
    let known = Known::of(&path, &time_of(LIVES)).await.unwrap();
    let swept = known.ledger.sweep(&call().team).await.unwrap();
    assert_eq!(
        (swept.released, swept.unknown),
        (0, known.open),
        "what the last run left open is ended, and charged"
    );
    drop(known);
    let known = Known::of(&path, &time_of(LIVES)).await.unwrap();
    assert_eq!((known.open, known.counted.1), (0, 0));
    let all: BTreeSet<_> = answers.iter().map(|(_, id)| *id).collect();
    assert!(known.rows.len() >= all.len(), "and every call that was answered has its row");
}

/// A file with some calls, settled and open; closed, or as a process leaves it that is killed.
async fn some_file(folder: &Path, closed: bool) -> (PathBuf, Clock) {
    let (path, copy, clock) = (folder.join("ledger.db"), folder.join("copy.db"), time_of(0));
    let ledger = open(&path, &clock).unwrap();
    for number in 0..600 {
        let (id, call) = (ReservationId::new(), budgeted(number % CALLERS));
        ledger.admit(call.admission(id)).await.unwrap();
        if number < 597 {
            ledger.settle(&call.team, settlement(id, Outcome::Charged, PRICE)).await.unwrap();
        }
    }
    if closed {
        drop(ledger);
    }
    std::fs::copy(&path, &copy).unwrap();
    (copy, clock)
}

/// Whether a damaged file still opens. It may, with everything that was answered; or it must be
/// refused in words. It never panics. Where a disk destroyed the newest page of a file that was not
/// closed, redb opens it as it was one change before: it cannot tell that from a change that was
/// never finished.
async fn opens(path: &Path, clock: &Clock, damage: &str) -> bool {
    let (path, clock) = (path.to_owned(), clock.clone());
    let opened = tokio::spawn(async move {
        Known::of(&path, &clock).await.map(|known| (known.counted, known.rows.len()))
    });
    match opened.await.unwrap_or_else(|panic| panic!("{damage}: {panic}")) {
        Ok(known) => {
            let [whole, one_less] = [3, 2].map(|open| ((597 * PRICE, open * PRICE), 597));
            let is_known =
                known == whole || known == one_less && damage.starts_with("closed false");
            assert!(is_known, "{damage}: it says something else than before: {known:?}");
            true
        }
        Err(why) => {
            assert!(why.len() > 20, "{damage}: {why}");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_file_is_refused_or_reads_as_before() {
    for closed in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (path, clock) = some_file(folder.path(), closed).await;
        let whole = std::fs::read(&path).unwrap();
        let damaged = folder.path().join("damaged.db");
        std::fs::write(&damaged, &whole).unwrap();
        assert!(opens(&damaged, &clock, "none").await, "closed: {closed}");
        let mut refused = 0;
        for at in (0..PARTS).map(|part| whole.len() * part / PARTS) {
            let cut = (at > 0).then(|| (format!("cut at {at}"), whole[..at].to_vec()));
            let spoilt = [0x00, 0xff].map(|with| {
                let mut bytes = whole.clone();
                bytes[at..at + 512].fill(with);
                (format!("{with:#x} at {at}"), bytes)
            });
            for (damage, bytes) in cut.into_iter().chain(spoilt) {
                std::fs::write(&damaged, bytes).unwrap();
                refused += usize::from(
                    !opens(&damaged, &clock, &format!("closed {closed}, {damage}")).await,
                );
            }
        }
        assert!(refused >= PARTS, "most damaged files are refused: {refused}");
    }
}
