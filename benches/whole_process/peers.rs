//! Who is measured: every peer started, timed, and asked whether it does its job before it is
//! measured.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::credentials::{Credentials, Team};
use crate::load::{Target, once};
use crate::options::{Options, Plan};
use crate::outcome::Outcome;
use crate::process::{LOAD_CORE, NGINX_LUA, PROXY_CORE, Ports, Process};
use crate::{cpu, gateway, job, rivals, store};

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
    /// The ledger's store, when the gateway is measured.
    pub redis: Option<Process>,
    /// Who is measured.
    pub peers: Vec<Peer>,
    /// Gateways that share one team, and how it calls each.
    pub replicas: Vec<(Rc<Proxy>, Target)>,
}

/// What a team shows to a peer.
type Shown = fn(&Team) -> &str;

/// What every peer does with a call, and the programs it needs.
const PEERS: [(&str, &str, &[&str]); 12] = [
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
    let redis = if programs(options).contains(&"redis-server") {
        let address = starter.ports.next()?;
        Some((store::start(address, folder).await?, address))
    } else {
        None
    };
    starter.rivals(redis.as_ref().map(|(_, address)| *address)).await?;
    let mut replicas = Vec::new();
    if let Some((_, redis)) = &redis {
        store::is_in_use(*redis).await?;
        starter.gateways(*redis).await?;
        replicas = starter.replicas(*redis).await?;
    }
    for peer in &starter.peers {
        peer.prove().await.map_err(|error| format!("{}: {error}", peer.name))?;
    }
    if let Some((_, redis)) = redis.as_ref().filter(|_| options.wants("nginx-lua")) {
        rivals::has_counted(*redis, &starter.credentials).await?;
    }
    let redis = redis.map(|(redis, _)| redis);
    Ok(Neighbourhood { upstreams: starter.upstreams, redis, peers: starter.peers, replicas })
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

    /// One gateway process serves all lines but that of many teams.
    async fn gateways(&mut self, redis: SocketAddr) -> Outcome<()> {
        let mut lines =
            [("gateway-key", key as Shown), ("gateway-rs256", token), ("gateway-1-team", key)]
                .to_vec();
        lines.retain(|(name, _)| self.options.wants(name));
        if !lines.is_empty() {
            let (proxy, listen) =
                self.gateway("gateway", redis, &Rc::clone(&self.credentials)).await?;
            for (name, credential) in lines {
                self.add(name, listen, Some(Rc::clone(&proxy)), credential);
            }
        }
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.name == "gateway-1-team") {
            peer.fast = peer.fast.of_one_team();
        }
        if self.options.wants("gateway-200-teams") {
            let many = Rc::new(Credentials::new(MANY_TEAMS)?);
            let (proxy, listen) = self.gateway("gateway-200-teams", redis, &many).await?;
            let ours = std::mem::replace(&mut self.credentials, many);
            self.add("gateway-200-teams", listen, Some(proxy), key);
            self.credentials = ours;
        }
        Ok(())
    }

    /// Gateways that share a store and a team, and how that team calls each.
    async fn replicas(&mut self, redis: SocketAddr) -> Outcome<Vec<(Rc<Proxy>, Target)>> {
        let mut replicas = Vec::new();
        let count = if self.options.wants("gateway-replicas") { self.options.replicas } else { 0 };
        for number in 0..count {
            let (proxy, listen) = self
                .gateway(&format!("replica-{number}"), redis, &Rc::clone(&self.credentials))
                .await?;
            replicas.push((proxy, self.target(listen, job::FAST, key).of_one_team()));
        }
        Ok(replicas)
    }

    /// Starts a gateway with a folder of its own, that knows these teams.
    async fn gateway(
        &mut self,
        name: &str,
        redis: SocketAddr,
        credentials: &Credentials,
    ) -> Outcome<(Rc<Proxy>, SocketAddr)> {
        let (binary, folder) = (&self.options.gateway_bin, self.folder.join(name));
        if !binary.is_file() {
            return Err(
                format!("there is no gateway at {}; see --gateway-bin", binary.display()).into()
            );
        }
        std::fs::create_dir_all(&folder)?;
        let (listen, admin) = (self.ports.next()?, self.ports.next()?);
        let neighbours = gateway::Neighbours { listen, admin, upstream: self.upstream()?, redis };
        let file = gateway::configure(&folder, &neighbours, credentials)?.display().to_string();
        let first = credentials.teams.first().map(key).unwrap_or_default();
        self.up(first, || {
            let arguments = ["serve", "--config", &file];
            Ok((
                Process::start_file(binary, &arguments, PROXY_CORE, &folder, Stdio::null())?,
                listen,
            ))
        })
        .await
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
