//! The table, and what the design asks for beside what was measured.

use std::rc::Rc;
use std::time::Duration;

use crate::measured::{Measured, Noise, Window};
use crate::options::{Options, Plan};
use crate::peers::Peer;
use crate::spread::Spread;

/// The columns: name and width.
const COLUMNS: [(&str, usize); 15] = [
    ("peer", 18),
    ("CPU us/call", 18),
    ("user us", 8),
    ("x nginx", 8),
    ("calls/s", 8),
    ("core %", 7),
    ("redis us", 9),
    ("lone us", 8),
    ("+lone us", 9),
    ("lone redis", 11),
    ("+p50 us", 8),
    ("+p99 us", 8),
    ("KiB/flight", 11),
    ("idle MiB", 9),
    ("start ms", 9),
];

/// What must be at most so many times something else (DESIGN, section 8).
struct Target {
    what: String,
    most: f64,
    found: Option<f64>,
}

struct Sheet<'a> {
    peers: &'a [Peer],
    measured: &'a [Measured],
}

/// Prints everything.
pub fn print(options: &Options, plan: &Plan, peers: &[Peer], measured: &[Measured], noise: &Noise) {
    let sheet = Sheet { peers, measured };
    println!(
        "{} connections, {} teams, {} windows of {:?} per peer, {} of them at {}/s; \
         medians (quartiles)",
        options.connections,
        options.teams,
        plan.rounds + plan.paced_rounds + plan.lone_rounds,
        plan.window,
        plan.paced_rounds,
        options.rate,
    );
    let head: String = COLUMNS.iter().map(|(name, width)| format!("{name:>width$}")).collect();
    println!("{head}");
    for (index, peer) in peers.iter().enumerate() {
        let cells = sheet.row(index);
        let row: String =
            COLUMNS.iter().zip(cells).map(|((_, width), cell)| format!("{cell:>width$}")).collect();
        println!("{row}  {}", peer.work);
    }
    if let Some(late) =
        Spread::of(measured.iter().flat_map(|peer| &peer.paced).map(|paced| paced.sender_late_p99))
    {
        println!(
            "the sender of the fixed rate was late by {:.0} us at p99 (median of its windows)",
            late.median
        );
    }
    println!(
        "other programs used {:.1} % of the machine, other machines {:.1} %",
        noise.others * 100.0,
        noise.steal * 100.0
    );
    for target in sheet.targets() {
        let Some(found) = target.found else { continue };
        let verdict = if found <= target.most { "met" } else { "MISSED" };
        println!(
            "target  {:<69} at most {:>6.2}  found {found:>6.2}  {verdict}",
            target.what, target.most
        );
    }
}

impl Sheet<'_> {
    fn index(&self, name: &str) -> Option<usize> {
        self.peers.iter().position(|peer| peer.name == name)
    }

    fn row(&self, index: usize) -> [String; 15] {
        let name = self.peers[index].name;
        let proxy = self.peers[index].proxy.as_ref();
        let proxied = |text: String| if proxy.is_some() { text } else { "-".to_owned() };
        let cpu = self
            .cpu(index)
            .map_or_else(dash, |cpu| format!("{:.1} ({:.1}-{:.1})", cpu.median, cpu.low, cpu.high));
        let windows = || self.measured[index].windows.iter();
        let lone = || self.measured[index].lone.iter();
        let user = Spread::of(windows().map(|window| micros(window.proxy.user) / window.calls));
        let calls = Spread::of(windows().map(|window| window.calls / window.seconds));
        let busy = Spread::of(
            windows().map(|window| window.proxy.total().as_secs_f64() / window.seconds * 100.0),
        );
        let redis = number(self.of_redis(index, windows()), 1);
        let (p50, p99) =
            (self.added(index, |paced| paced.p50), self.added(index, |paced| paced.p99));
        let start = proxy.and_then(|proxy| {
            Spread::of(proxy.starts.iter().map(|start| start.as_secs_f64() * 1e3))
        });
        [
            name.to_owned(),
            proxied(cpu),
            proxied(number(user, 1)),
            self.ratio(index, "nginx").map_or_else(dash, |ratio| format!("{ratio:.2}")),
            number(calls, 0),
            proxied(number(busy, 0)),
            redis,
            proxied(number(Spread::of(lone().map(cpu_of)), 1)),
            number(self.lone_added(index), 0),
            number(self.of_redis(index, lone()), 1),
            p50.map_or_else(dash, |p50| format!("{p50:.0}")),
            p99.map_or_else(dash, |p99| format!("{p99:.0}")),
            self.per_flight(index).map_or_else(dash, |kib| format!("{kib:.1}")),
            proxy.map_or_else(dash, |proxy| format!("{:.1}", proxy.idle as f64 / 1024.0)),
            number(start, 0),
        ]
    }

    fn cpu(&self, index: usize) -> Option<Spread> {
        let windows = self.measured[index].windows.iter();
        Spread::of(windows.map(cpu_of))
    }

    /// How many times the processor time of another peer: the median of the rounds, each compared
    /// within itself.
    fn ratio(&self, index: usize, other: &str) -> Option<f64> {
        let other = self.index(other)?;
        self.peers[index].proxy.as_ref()?;
        let rounds = self.measured[index].windows.iter().zip(&self.measured[other].windows);
        let ratios = rounds.map(|(mine, its)| cpu_of(mine) / cpu_of(its));
        Spread::of(ratios).map(|ratio| ratio.median)
    }

    fn of_redis<'a>(
        &self,
        index: usize,
        windows: impl Iterator<Item = &'a Window>,
    ) -> Option<Spread> {
        self.peers[index].store?;
        Spread::of(windows.map(|window| micros(window.redis) / window.calls))
    }

    /// How much longer a lone call takes than one to the upstream itself in the same round, at the
    /// median.
    fn lone_added(&self, index: usize) -> Option<Spread> {
        self.peers[index].proxy.as_ref()?;
        let direct = &self.measured[self.index("direct")?].lone;
        Spread::of(
            self.measured[index]
                .lone
                .iter()
                .zip(direct)
                .map(|(lone, direct)| lone.p50 - direct.p50),
        )
    }

    /// Latency beyond that of the direct run of the same round.
    fn added(&self, index: usize, of: impl Fn(&crate::load::Paced) -> f64) -> Option<f64> {
        self.peers[index].proxy.as_ref()?;
        let direct = &self.measured[self.index("direct")?].paced;
        let added = self.measured[index]
            .paced
            .iter()
            .zip(direct)
            .map(|(paced, direct)| of(paced) - of(direct));
        Spread::of(added).map(|added| added.median)
    }

    /// Means nothing when many of the calls were refused, nor where the process held as many
    /// before: then it is left out.
    fn per_flight(&self, index: usize) -> Option<f64> {
        let proxy = self.peers[index].proxy.as_ref()?;
        let mut before = self.peers[..index].iter().filter_map(|peer| peer.proxy.as_ref());
        if before.any(|other| Rc::ptr_eq(other, proxy)) {
            return None;
        }
        let measured = &self.measured[index];
        let held = measured.held.as_ref().filter(|held| held.failed * 100 <= held.calls)?;
        Some(
            held.peak.saturating_sub(measured.before_held) as f64
                / (held.calls - held.failed) as f64,
        )
    }

    fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for name in ["gateway-key", "gateway-rs256"] {
            let Some(index) = self.index(name) else { continue };
            let mut add = |what: &str, most, found| {
                targets.push(Target { what: format!("{name}: {what}"), most, found })
            };
            add("CPU per call, x nginx with Lua and Redis", 0.9, self.ratio(index, "nginx-lua"));
            add("CPU per call, x HAProxy verifying RS256", 0.6, self.ratio(index, "haproxy-rs256"));
            add("CPU per call, x nginx", 1.8, self.ratio(index, "nginx"));
            let times = |of: fn(&crate::load::Paced) -> f64| {
                Some(self.added(index, of)? / self.added(self.index("haproxy-rs256")?, of)?)
            };
            add(
                "added p50 at the fixed rate, x HAProxy verifying RS256",
                3.0,
                times(|paced| paced.p50),
            );
            add(
                "added p99 at the fixed rate, x HAProxy verifying RS256",
                3.0,
                times(|paced| paced.p99),
            );
            add(
                "us that a lone call takes longer",
                600.0,
                self.lone_added(index).map(|added| added.median),
            );
            add("KiB per call in flight", 40.0, self.per_flight(index));
            let held = self.measured[index].held.as_ref();
            add("calls in flight that were refused", 0.0, held.map(|held| held.failed as f64));
            add(
                "seconds to 99 of 100 answers of calls in flight",
                2.5,
                held.map(|held| held.p99.as_secs_f64()),
            );
            let Some(proxy) = &self.peers[index].proxy else { continue };
            add("idle MiB", 15.0, Some(proxy.idle as f64 / 1024.0));
            let start = Spread::of(proxy.starts.iter().map(|start| start.as_secs_f64() * 1e3));
            add("ms from start to the first good answer", 100.0, start.map(|start| start.median));
        }
        targets
    }
}

/// The processor time of the proxy for each call, in microseconds.
fn cpu_of(window: &Window) -> f64 {
    micros(window.proxy.total()) / window.calls
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn number(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(dash, |spread| format!("{:.digits$}", spread.median))
}

fn dash() -> String {
    "-".to_owned()
}
