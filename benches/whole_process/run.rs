//! The run: windows of all peers in shuffled order, round after round, so that what the machine
//! does meanwhile meets them alike.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::cpu::{self, Used};
use crate::load::{Saturation, hold, pace, saturate};
use crate::measured::{Measured, Noise, Window};
use crate::options::{Options, Plan};
use crate::outcome::Outcome;
use crate::peers::{self, Neighbourhood, Peer};
use crate::process::open_files_max;
use crate::replicas::{self, Together};
use crate::report;

/// Runs everything; whether every call of every peer was answered well.
///
/// # Errors
/// Something is missing or breaks.
pub async fn run(options: &Options) -> Outcome<bool> {
    let plan = options.plan();
    let folder = tempfile::tempdir()?;
    let neighbourhood = peers::start(options, &plan, folder.path()).await?;
    announce(options, &plan, &neighbourhood);
    let mut measured: Vec<Measured> =
        neighbourhood.peers.iter().map(|_| Measured::default()).collect();
    let mut failures = Vec::new();

    let busy = Busy::now()?;
    for round in 0..plan.rounds.max(plan.paced_rounds).max(plan.lone_rounds) {
        if round < plan.rounds {
            for index in shuffled(neighbourhood.peers.len())? {
                let (peer, measured) = (&neighbourhood.peers[index], &mut measured[index]);
                let connections = options.connections;
                measured.windows.push(closed(connections, &plan, peer, &mut failures).await?);
                progress();
            }
        }
        if round < plan.lone_rounds {
            for index in shuffled(neighbourhood.peers.len())? {
                let (peer, measured) = (&neighbourhood.peers[index], &mut measured[index]);
                measured.lone.push(closed(1, &plan, peer, &mut failures).await?);
                progress();
            }
        }
        if round < plan.paced_rounds {
            for index in shuffled(neighbourhood.peers.len())? {
                let (peer, measured) = (&neighbourhood.peers[index], &mut measured[index]);
                let paced =
                    pace(&peer.fast, options.connections, options.rate, plan.warm_up, plan.window)
                        .await?;
                note(&mut failures, peer, paced.failed, "calls at a fixed rate", None);
                measured.paced.push(paced);
                progress();
            }
        }
    }
    let noise = busy.noise()?;
    let together = replicas::measure(options, &plan, &neighbourhood.replicas).await?;
    failures.extend(together.iter().filter_map(Together::failure));
    // Last, because every proxy keeps thousands of connections open after it.
    for (peer, measured) in neighbourhood.peers.iter().zip(&mut measured) {
        in_flight(&plan, peer, measured, &mut failures).await?;
        progress();
    }
    eprintln!();
    report::print(options, &plan, &neighbourhood.peers, &measured, &noise);
    together.iter().for_each(|together| println!("{together}"));
    for failure in &failures {
        println!("FAILED  {failure}");
    }
    Ok(failures.is_empty())
}

fn announce(options: &Options, plan: &Plan, neighbourhood: &Neighbourhood) {
    let peers = u32::try_from(neighbourhood.peers.len()).unwrap_or(1);
    let windows = u32::try_from(plan.rounds + plan.paced_rounds + plan.lone_rounds).unwrap_or(1);
    let expected = (plan.window + plan.warm_up) * windows * peers;
    eprintln!(
        "about {} s, {} connections, {} teams",
        expected.as_secs(),
        options.connections,
        options.teams
    );
    let others = [("upstream", &neighbourhood.upstreams), ("redis-server", &neighbourhood.stores)];
    for (name, processes) in others {
        for process in processes {
            eprintln!("  {name:<14} process {}", process.id());
        }
    }
    for peer in &neighbourhood.peers {
        if let Some(proxy) = &peer.proxy {
            eprintln!("  {:<14} process {}", peer.name, proxy.process.id());
        }
    }
}

fn progress() {
    eprint!(".");
    io::stderr().flush().ok();
}

fn note(
    failures: &mut Vec<String>,
    peer: &Peer,
    failed: usize,
    of_what: &str,
    first: Option<&str>,
) {
    if failed > 0 {
        let first = first.map(|first| format!("; the first: {first}")).unwrap_or_default();
        failures.push(format!("{}: {failed} {of_what} got no good answer{first}", peer.name));
    }
}

/// A window of a closed loop of so many connections.
async fn closed(
    connections: usize,
    plan: &Plan,
    peer: &Peer,
    failures: &mut Vec<String>,
) -> Outcome<Window> {
    let mark = || {
        let proxy = peer
            .proxy
            .as_ref()
            .map_or(Ok(Used::default()), |proxy| cpu::used(proxy.process.id()))?;
        let redis = peer.store.map_or(Ok(Used::default()), cpu::used)?;
        Ok((proxy, redis))
    };
    let Saturation { calls, p50, length, marks, failed, first_failure } =
        saturate(&peer.fast, connections, plan.warm_up, plan.window, mark).await?;
    let of_what = if connections == 1 { "lone calls" } else { "calls under saturation" };
    note(failures, peer, failed as usize, of_what, first_failure.as_deref());
    let ((proxy_before, redis_before), (proxy_after, redis_after)) = marks;
    Ok(Window {
        calls: calls as f64,
        seconds: length.as_secs_f64(),
        proxy: proxy_after - proxy_before,
        redis: (redis_after - redis_before).total(),
        p50,
    })
}

/// Measures calls in flight. Two lines of the gateway are enough: a call in flight costs the same
/// however many teams call.
async fn in_flight(
    plan: &Plan,
    peer: &Peer,
    measured: &mut Measured,
    failures: &mut Vec<String>,
) -> Outcome<()> {
    let Some(proxy) =
        peer.proxy.as_ref().filter(|_| plan.in_flight > 0 && !peer.name.contains("-team"))
    else {
        return Ok(());
    };
    let (open, _) = open_files_max()?;
    if open < plan.in_flight * 2 + 500 {
        failures.push(format!(
            "{}: {} calls in flight need more open files than {open}",
            peer.name, plan.in_flight
        ));
        return Ok(());
    }
    let memory = || cpu::memory(proxy.process.id());
    measured.before_held = memory()?;
    let held = hold(&peer.slow, plan.in_flight, memory).await?;
    note(failures, peer, held.failed, "calls in flight", held.first_failure.as_deref());
    measured.held = Some(held);
    Ok(())
}

/// What was used up to a moment: by the whole machine, by others, by this run.
struct Busy {
    at: Instant,
    machine: Duration,
    steal: Duration,
    ours: Duration,
}

impl Busy {
    /// The processes of this run are this one and its children.
    fn now() -> Outcome<Self> {
        let (machine, steal) = cpu::machine()?;
        Ok(Self {
            at: Instant::now(),
            machine,
            steal,
            ours: cpu::used(std::process::id())?.total(),
        })
    }

    fn noise(&self) -> Outcome<Noise> {
        let now = Self::now()?;
        let cores = cpu::cores()? as f64;
        let all = (now.at - self.at).as_secs_f64() * cores;
        let steal = now.steal.saturating_sub(self.steal);
        let machine = now.machine.saturating_sub(self.machine);
        let others =
            machine.saturating_sub(steal).saturating_sub(now.ours.saturating_sub(self.ours));
        Ok(Noise { others: others.as_secs_f64() / all, steal: steal.as_secs_f64() / all })
    }
}

/// The numbers below `count` in a random order.
fn shuffled(count: usize) -> Outcome<Vec<usize>> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        let other = getrandom::u64()? % (last as u64 + 1);
        order.swap(last, other as usize);
    }
    Ok(order)
}
