//! Counts what a program executes: it runs under callgrind, and is asked meanwhile how many
//! instructions that were.
//!
//! Only instructions of the program count, none of the kernel. What the program does by the clock
//! goes on while calls are counted, and under callgrind calls are slow: what its threads do each
//! second while nobody calls is taken off.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long the program is watched while nobody calls it.
const IDLE: Duration = Duration::from_secs(3);
/// How long the program may take to answer how much it has executed, in seconds.
const PATIENCE: &str = "60";

/// A thread that executes more each second while nobody calls does not work for calls.
const RESTS: f64 = 40_000.0;

/// Whether callgrind is there.
pub fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The command that runs a program under callgrind, with further options. What was executed where
/// is written to a file when it ends.
pub fn command(program: &Path, profile: &Path, options: &[&str]) -> Command {
    let mut command = Command::new("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .args(options)
        .arg(program);
    command
}

/// Has a process write down what it has executed since it did so before: into its file's name with
/// a number at the end, from 1.
///
/// # Errors
/// It does not run under callgrind, or cannot be asked.
pub fn dump(process: u32) -> Result<(), Box<dyn Error>> {
    ask(process, &["dump"]).map(|_| ())
}

/// What callgrind answers.
fn ask(process: u32, question: &[&str]) -> Result<String, Box<dyn Error>> {
    let answer = Command::new("timeout")
        .args([PATIENCE, "vgdb", &format!("--pid={process}")])
        .args(question)
        .output()?;
    if !answer.status.success() {
        let why = String::from_utf8_lossy(&answer.stderr);
        return Err(format!(
            "vgdb cannot ask process {process}; may it be traced here? {}",
            why.trim()
        )
        .into());
    }
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// A program that runs under callgrind.
pub struct Counted {
    process: u32,
    /// What its threads execute each second while nobody calls.
    idle: BTreeMap<u32, f64>,
    /// Threads that execute more than this are left out.
    idle_most: f64,
}

/// How much its threads had executed at a moment.
pub struct Mark {
    threads: BTreeMap<u32, u64>,
    at: Instant,
}

impl Counted {
    /// Finds out what the program does while nobody calls it.
    ///
    /// # Errors
    /// The program does not run under callgrind, or cannot be asked.
    pub fn new(process: u32) -> Result<Self, Box<dyn Error>> {
        let new = Self { process, idle: BTreeMap::new(), idle_most: f64::INFINITY };
        let before = new.mark()?;
        std::thread::sleep(IDLE);
        let after = new.mark()?;
        let seconds = (after.at - before.at).as_secs_f64();
        let idle =
            spent(&before, &after).map(|(thread, spent)| (thread, spent / seconds)).collect();
        Ok(Self { idle, ..new })
    }

    /// Leaves out the threads that are busy while nobody calls: they do not work for calls, and
    /// what they do is as long as a call is.
    pub fn of_threads_that_rest(self) -> Self {
        Self { idle_most: RESTS, ..self }
    }

    /// How much it has executed until now.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn mark(&self) -> Result<Mark, Box<dyn Error>> {
        let text = ask(self.process, &["status", "internal"])?;
        // One line for each thread, such as `events-2: 94080`; lines with a second number are parts
        // of it.
        let lines = text.lines().filter_map(|line| line.strip_prefix("events-")?.split_once(": "));
        let threads: BTreeMap<u32, u64> = lines
            .filter_map(|(thread, count)| Some((thread.parse().ok()?, count.trim().parse().ok()?)))
            .collect();
        if threads.is_empty() {
            return Err(format!("callgrind names no thread of process {}", self.process).into());
        }
        Ok(Mark { threads, at: Instant::now() })
    }

    /// How much it has executed since then for each of so many calls.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn for_each(&self, calls: usize, since: &Mark) -> Result<u64, Box<dyn Error>> {
        let now = self.mark()?;
        let seconds = (now.at - since.at).as_secs_f64();
        let idle = |thread| self.idle.get(&thread).copied().unwrap_or_default();
        let working = spent(since, &now).filter(|(thread, _)| idle(*thread) <= self.idle_most);
        let all: f64 =
            working.map(|(thread, spent)| (spent - idle(thread) * seconds).max(0.0)).sum();
        Ok((all / calls.max(1) as f64).round() as u64)
    }
}

/// What each thread has executed between two moments.
fn spent(before: &Mark, after: &Mark) -> impl Iterator<Item = (u32, f64)> {
    let earlier = |thread| before.threads.get(&thread).copied().unwrap_or_default();
    after
        .threads
        .iter()
        .map(move |(thread, count)| (*thread, count.saturating_sub(earlier(*thread)) as f64))
}
