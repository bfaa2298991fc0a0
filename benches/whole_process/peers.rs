//! Who is measured: every peer started, timed, and asked whether it does its job before it is
//! measured.

mod gateways;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::credentials::{Credentials, Team};
use crate::load::{Target, once};
use crate::options::{Options, Plan};
use crate::outcome::Outcome;
use crate::process::{LOAD_CORE, NGINX_LUA, PROXY_CORE, Ports, Process};
use crate::{cpu, job, rivals, store};

/// How many teams are many.
const MANY_TEAMS: usize = 200;

/// How long anything may take to start.
const START_MAX: Duration = Duration::from_secs(10);

/// A proxy that is up.
pub struct Proxy {
    /// The processes.
    pub process: Process,
    /// Times from its start to its first good answer.
    pub starts: Vec<Duration>,
    /// The memory after that answer, in KiB.
    pub idle: u64,
}

/// One line of the table: a proxy, and how it is called.
pub struct Peer {
    /// The name for `--only` and the table.
    pub name: &'static str,
    /// What it does with a call.
    pub work: &'static str,
    /// The proxy; none when the upstream is called directly.
    pub proxy: Option<Rc<Proxy>>,
    /// The process of the Redis that it keeps books in.
    pub store: Option<u32>,
    /// Where calls go that are answered at once.
    pub fast: Target,
    /// Where calls go that take long.
    pub slow: Target,
    /// Whether unknown callers are refused.
    refuses: bool,
}

/// Everything that runs, apart from the load.
pub struct Neighbourhood {
    /// The upstreams, one for each peer.
    pub upstreams: Vec<Process>,
    /// The stores, which run as long as this.
    pub stores: Vec<Process>,
    /// Who is measured.
    pub peers: Vec<Peer>,
    /// Gateways that share one team, and how it calls each.
    pub replicas: Vec<(Rc<Proxy>, Target)>,
}

/// What a team shows to a peer.
type Shown = fn(&Team) -> &str;

/// Another build of the gateway, called in two ways.
const BESIDE_KEY: &str = "beside-key";
const BESIDE_RS256: &str = "beside-rs256";

/// What every peer does with a call, and the programs it needs.
const PEERS: [(&str, &str, &[&str]); 14] = [
    ("direct", "no proxy at all", &[]),
    ("nginx", "key map, limit_req, header set", &["nginx"]),
    ("nginx-lua", "key and counter in Redis, header set", &["nginx", NGINX_LUA, "redis-server"]),
    ("haproxy", "key map, stick-table limit, header set", &["haproxy"]),
    ("haproxy-rs256", "RS256 verified, stick-table limit, header set", &["haproxy"]),
    ("plain-hyper", "header set, no checks", &[]),
    ("core", "the gateway's listener and wire alone", &[]),
    ("gateway-key", "whole job, gateway key", &["redis-server"]),
    ("gateway-rs256", "whole job, RS256 token", &["redis-server"]),
    ("gateway-1-team", "whole job, gateway key, one team only", &["redis-server"]),
    ("gateway-200-teams", "whole job, gateway key, 200 teams", &["redis-server"]),
    ("gateway-replicas", "whole job, gateway key, one team at several gateways", &["redis-server"]),
    (BESIDE_KEY, "whole job of the other build, gateway key", &["redis-server"]),
    (BESIDE_RS256, "whole job of the other build, RS256 token", &["redis-server"]),
];

/// The programs that the peers asked for need.
pub fn programs(options: &Options) -> Vec<&'static str> {
    let mut programs = vec!["taskset", "setpriv", "prlimit"];
    programs.extend(
        PEERS
            .iter()
            .filter(|(name, ..)| options.wants(name))
            .flat_map(|(.., needs)| needs.iter().copied()),
    );
    programs.sort_unstable();
    programs.dedup();
    programs
}

/// Starts everything that is asked for.
///
/// # Errors
/// Something does not start, or does not do its job.
pub async fn start(options: &Options, plan: &Plan, folder: &Path) -> Outcome<Neighbourhood> {
    let credentials = Rc::new(Credentials::new(options.teams)?);
    let mut starter = Starter {
        options,
        plan,
        folder,
        ports: Ports::new(),
        upstreams: Vec::new(),
        credentials,
        peers: Vec::new(),
    };
    // What a proxy adds at a fixed rate is told by comparison with the direct run.
    if options.wants("direct") || plan.paced_rounds > 0 {
        let upstream = starter.upstream()?;
        starter.add("direct", upstream, None, |_| job::SHARED_KEY);
    }
    let mut stores = Vec::new();
    let redis = if programs(options).contains(&"redis-server") {
        Some(starter.store(&mut stores).await?)
    } else {
        None
    };
    starter.rivals(redis).await?;
    let mut replicas = Vec::new();
    if let Some(redis) = redis {
        starter.gateways(redis).await?;
        replicas = starter.replicas(redis).await?;
    }
    let is_kept = |peer: &&mut Peer| {
        PEERS.iter().any(|(name, _, needs)| *name == peer.name && needs.contains(&"redis-server"))
    };
    let kept_by = stores.first().map(Process::id);
    starter.peers.iter_mut().filter(is_kept).for_each(|peer| peer.store = kept_by);
    if let Some(other) = &options.beside {
        let redis = starter.store(&mut stores).await?;
        let kept_by = stores.last().map(Process::id);
        starter.beside(other, redis).await?.for_each(|peer| peer.store = kept_by);
    }
    for peer in &starter.peers {
        peer.prove().await.map_err(|error| format!("{}: {error}", peer.name))?;
    }
    if let Some(redis) = redis.filter(|_| options.wants("nginx-lua")) {
        rivals::has_counted(redis, &starter.credentials).await?;
    }
    Ok(Neighbourhood { upstreams: starter.upstreams, stores, peers: starter.peers, replicas })
}

struct Starter<'a> {
    options: &'a Options,
    plan: &'a Plan,
    folder: &'a Path,
    ports: Ports,
    upstreams: Vec<Process>,
    credentials: Rc<Credentials>,
    peers: Vec<Peer>,
}

impl Starter<'_> {
    /// Another upstream, for one peer alone: thousands of calls in flight leave thousands of idle
    /// connections, and the ports of closed ones are taken for a minute. An upstream of all would
    /// have neither files nor ports left for the last peers.
    fn upstream(&mut self) -> Outcome<SocketAddr> {
        let (upstream, port) = Process::start_role(&["upstream"], LOAD_CORE, self.folder)?;
        self.upstreams.push(upstream);
        Ok((Ipv4Addr::LOCALHOST, port).into())
    }

    /// A Redis that gateways have known for long.
    async fn store(&mut self, stores: &mut Vec<Process>) -> Outcome<SocketAddr> {
        let address = self.ports.next()?;
        stores.push(store::start(address, self.folder).await?);
        store::is_in_use(address).await?;
        Ok(address)
    }

    async fn rivals(&mut self, redis: Option<SocketAddr>) -> Outcome<()> {
        let folder = self.folder;
        if self.options.wants("nginx") {
            let listen = self.ports.next()?;
            let file = rivals::nginx(folder, listen, self.upstream()?, &self.credentials)?;
            self.nginx("nginx", listen, &file).await?;
        }
        if let Some(redis) = redis.filter(|_| self.options.wants("nginx-lua")) {
            let listen = self.ports.next()?;
            rivals::tell_keys(redis, &Rc::clone(&self.credentials)).await?;
            let file = rivals::nginx_lua(folder, listen, self.upstream()?, redis)?;
            self.nginx("nginx-lua", listen, &file).await?;
        }
        for (name, configure, credential) in [
            ("haproxy", rivals::haproxy as fn(&Path, _, _, &_) -> _, key as Shown),
            ("haproxy-rs256", rivals::haproxy_rs256, token),
        ] {
            if self.options.wants(name) {
                let listen = self.ports.next()?;
                let file: std::path::PathBuf =
                    configure(folder, listen, self.upstream()?, &self.credentials)?;
                let file = file.display().to_string();
                let proxy = self.up(self.first(credential), || {
                    Ok((
                        Process::start("haproxy", &["-db", "-f", &file], PROXY_CORE, folder)?,
                        listen,
                    ))
                });
                let (proxy, listen) = proxy.await?;
                self.add(name, listen, Some(proxy), credential);
            }
        }
        for (name, role) in [("plain-hyper", "plain-hyper"), ("core", "forward-core")] {
            if self.options.wants(name) {
                let upstream = self.upstream()?.to_string();
                let proxy = self.up(self.first(key), || {
                    let arguments = [role, &upstream];
                    let (process, port) = Process::start_role(&arguments, PROXY_CORE, folder)?;
                    Ok((process, ([127, 0, 0, 1], port).into()))
                });
                let (proxy, listen) = proxy.await?;
                self.add(name, listen, Some(proxy), key);
            }
        }
        Ok(())
    }

    async fn nginx(&mut self, name: &'static str, listen: SocketAddr, file: &Path) -> Outcome<()> {
        let (folder, file) = (self.folder, file.display().to_string());
        let prefix = folder.display().to_string();
        let proxy = self.up(self.first(key), || {
            let arguments = ["-p", &prefix, "-e", "stderr", "-c", &file];
            Ok((Process::start("nginx", &arguments, PROXY_CORE, folder)?, listen))
        });
        let (proxy, listen) = proxy.await?;
        self.add(name, listen, Some(proxy), key);
        Ok(())
    }

    /// Starts a proxy as often as planned, waits each time for its first good answer, and keeps the
    /// last.
    async fn up(
        &self,
        credential: &str,
        start: impl Fn() -> Outcome<(Process, SocketAddr)>,
    ) -> Outcome<(Rc<Proxy>, SocketAddr)> {
        let call = job::call(job::FAST, credential);
        let mut starts = Vec::new();
        loop {
            let begun = Instant::now();
            let (mut process, address) = start()?;
            while !matches!(once(address, &call).await, Ok((200, _))) {
                process.is_alive()?;
                if begun.elapsed() > START_MAX {
                    let last = once(address, &call).await;
                    let last = last.map(|(status, body)| {
                        (status, String::from_utf8_lossy(&body).into_owned())
                    });
                    return Err(format!(
                        "no good answer after {START_MAX:?} but {last:?}. {}",
                        process.complaint()
                    )
                    .into());
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            starts.push(begun.elapsed());
            if starts.len() >= self.plan.starts {
                let idle = cpu::memory(process.id())?;
                return Ok((Rc::new(Proxy { process, starts, idle }), address));
            }
        }
    }

    /// What the first team shows.
    fn first(&self, credential: Shown) -> &str {
        self.credentials.teams.first().map(credential).unwrap_or_default()
    }

    fn target(&self, address: SocketAddr, model: &str, credential: Shown) -> Target {
        let calls = self.credentials.teams.iter().map(|team| job::call(model, credential(team)));
        Target { address, calls: calls.collect::<Arc<[_]>>() }
    }

    fn add(
        &mut self,
        name: &'static str,
        address: SocketAddr,
        proxy: Option<Rc<Proxy>>,
        credential: Shown,
    ) {
        let work = PEERS.iter().find(|(known, ..)| *known == name).map_or("", |(_, work, _)| work);
        let [fast, slow] =
            [job::FAST, job::SLOW].map(|model| self.target(address, model, credential));
        self.peers.push(Peer {
            name,
            work,
            proxy,
            store: None,
            fast,
            slow,
            refuses: !["plain-hyper", "core"].contains(&name),
        });
    }
}

impl Peer {
    /// A good call gets the upstream's answer byte for byte, and a stranger gets 401: it really
    /// does what it is measured at.
    async fn prove(&self) -> Outcome<()> {
        for call in self.fast.calls.iter() {
            let (status, body) = once(self.fast.address, call).await?;
            let body = String::from_utf8_lossy(&body);
            if status != 200 || body != job::answer_body() {
                return Err(format!("a good call got {status} {body}").into());
            }
        }
        let (status, _) = once(self.fast.address, &job::call(job::FAST, "stranger")).await?;
        if self.refuses && status != 401 {
            return Err(format!("a stranger got {status}").into());
        }
        Ok(())
    }
}

fn key(team: &Team) -> &str {
    team.key.text.expose()
}

fn token(team: &Team) -> &str {
    &team.token
}
