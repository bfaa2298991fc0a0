//! What processes used, as /proc tells it: processor time, memory, and how busy the machine was
//! with other things.

use std::fs;
use std::io;
use std::ops::Sub;
use std::time::Duration;

/// The unit of the times in /proc: USER_HZ, 100 on every architecture that Debian is built for.
const TICK: Duration = Duration::from_millis(10);

/// Processor time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// Time in programs.
    pub user: Duration,
    /// Time in the kernel for them.
    pub system: Duration,
}

impl Used {
    /// The sum of both.
    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

impl Sub for Used {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// The time a process and all its children have used so far.
///
/// # Errors
/// It is gone.
pub fn used(process: u32) -> io::Result<Used> {
    let mut all = Used::default();
    for process in with_children(process)? {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name, in brackets, may hold anything; what follows the last bracket begins with field
        // 3.
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |field: usize| fields.get(field - 3).and_then(|ticks| ticks.parse().ok()).unwrap_or(0);
        all.user += TICK * ticks(14);
        all.system += TICK * ticks(15);
    }
    Ok(all)
}

/// The memory that a process and its children hold, in KiB: resident, with shared pages divided
/// among those that share them.
///
/// # Errors
/// It is gone.
pub fn memory(process: u32) -> io::Result<u64> {
    let mut all = 0;
    for process in with_children(process)? {
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
        all += line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
    }
    Ok(all)
}

/// The time all processors together were not idle, and how much of it the hypervisor gave to
/// others.
///
/// # Errors
/// /proc cannot be read.
pub fn machine() -> io::Result<(Duration, Duration)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u32> =
        line.split_whitespace().skip(1).filter_map(|ticks| ticks.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let at = |index: usize| TICK * ticks.get(index).copied().unwrap_or(0);
    let steal = at(7);
    Ok((at(0) + at(1) + at(2) + at(5) + at(6) + steal, steal))
}

/// How many processors there are, whichever of them this process may use.
///
/// # Errors
/// /proc cannot be read.
pub fn cores() -> io::Result<usize> {
    let stat = fs::read_to_string("/proc/stat")?;
    Ok(stat.lines().skip(1).take_while(|line| line.starts_with("cpu")).count())
}

fn with_children(process: u32) -> io::Result<Vec<u32>> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(process) = found.get(next).copied() {
        next += 1;
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            // A thread that ended between the listing and the reading has no children.
            let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    Ok(found)
}
