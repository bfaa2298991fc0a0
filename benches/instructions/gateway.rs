//! Calls of the gateway one after another over one connection, each kind by itself; the gateway is
//! counted.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::budgets::{Figure, figure};
use crate::callgrind::{self, Counted};
use crate::collector;
use crate::configuration::{self, Neighbours};
use crate::credentials::Credentials;
use crate::job::{self, Message};
use crate::outcome::Outcome;
use crate::parts::{self, Functions, NOTES};
use crate::rounds::{CALLS, WARM_UP, rounds};
use crate::store::Store;
use crate::upstream;

/// How long the gateway may take to start, and to end.
const START_MAX: Duration = Duration::from_secs(120);
const END_MAX: Duration = Duration::from_secs(30);

/// The kind of call that everything of a call's own has a part in.
const WITH_A_KEY: &str = "a whole call with a key";

/// A kind of call.
struct Kind {
    what: &'static str,
    status: u16,
    call: Vec<u8>,
}

/// What is called, from what is refused first to what goes all the way: the difference between two
/// lines is what lies between.
fn kinds(credentials: &Credentials) -> Vec<Kind> {
    let [ours, full] = credentials.teams.as_slice() else { return Vec::new() };
    let (key, token) = (ours.key.text.expose(), ours.token.as_str());
    let good = job::call(job::FAST, key);
    let mut unreadable = good.clone();
    if let Some(last) = unreadable.last_mut() {
        *last = b'!';
    }
    let me = format!(
        "GET /gateway/v1/me HTTP/1.1\r\nhost: moongate.internal\r\n\
         authorization: Bearer {key}\r\n\r\n"
    );
    let text = String::from_utf8_lossy(&good);
    let nobody: String =
        text.split_inclusive("\r\n").filter(|line| !line.starts_with("authorization")).collect();
    let kind = |what, status, call| Kind { what, status, call };
    vec![
        kind("a call of nobody, refused", 401, nobody.into_bytes()),
        kind("a body that is no JSON, refused", 400, unreadable),
        kind("a call beyond a limit, refused", 429, job::call(job::FAST, full.key.text.expose())),
        kind("what a caller has left", 200, me.into_bytes()),
        kind(WITH_A_KEY, 200, good),
        kind("a whole call with a token", 200, job::call(job::FAST, token)),
    ]
}

/// Counts all kinds, while this share of the traces is recorded. Leaves a profile of each kind in
/// the order of the figures, numbered from 2: number 1 is of the start.
///
/// # Errors
/// Something does not start, or a call is not answered as it should be.
pub fn count(
    program: &Path,
    folder: &Path,
    profiles: &Path,
    traces: Option<f64>,
) -> Outcome<Vec<Figure>> {
    let profile = profiles.join("callgrind.gateway");
    let Called { store: _store, gateway, mut connection, kinds } =
        Called::start(program, folder, &profile, traces, &[])?;
    let counted = Counted::new(gateway.process.id())?.of_threads_that_rest();
    callgrind::dump(gateway.process.id())?;
    let count = |kind: &Kind| {
        let count = rounds(&counted, |calls| connection.calls(kind, calls))?;
        callgrind::dump(gateway.process.id())?;
        Ok(count)
    };
    let counts = kinds.iter().map(count).collect::<Outcome<Vec<u64>>>()?;
    Ok(kinds.iter().zip(counts).map(|(kind, count)| figure("gateway", kind.what, count)).collect())
}

/// Counts what a whole call with a key executes in each of these parts of the gateway, while no
/// trace is recorded.
///
/// # Errors
/// As above; or what callgrind noted cannot be read.
pub fn count_parts<const N: usize>(
    parts: [&[Functions]; N],
    program: &Path,
    folder: &Path,
    profiles: &Path,
) -> Outcome<[u64; N]> {
    let profile = profiles.join("callgrind.parts");
    let Called { store: _store, gateway, mut connection, kinds } =
        Called::start(program, folder, &profile, None, &NOTES)?;
    let kind = kinds.iter().find(|kind| kind.what == WITH_A_KEY).ok_or("no whole call")?;
    connection.calls(kind, WARM_UP)?;
    callgrind::dump(gateway.process.id())?;
    connection.calls(kind, CALLS)?;
    callgrind::dump(gateway.process.id())?;
    let executed = parts::executed(program, &profile.with_extension("parts.2"), parts)?;
    Ok(executed.map(|count| count / CALLS as u64))
}

/// A gateway that has answered each kind of call once, and what it needs, which outlives it.
struct Called {
    store: Store,
    gateway: Gateway,
    connection: Connection,
    kinds: Vec<Kind>,
}

impl Called {
    fn start(
        program: &Path,
        folder: &Path,
        profile: &Path,
        traces: Option<f64>,
        notes: &[&str],
    ) -> Outcome<Self> {
        let store = Store::plain()?;
        let credentials = Credentials::new(2)?;
        let listen = free()?;
        let (admin, upstream) = (free()?, serve_upstream()?);
        let neighbours = Neighbours { listen, admin, upstream, redis: store.address() };
        let file = configure(folder, &neighbours, &credentials)?;
        if let Some(share) = traces {
            record(&file, share)?;
        }
        let mut gateway = Gateway::start(program, &file, profile, folder, notes)?;
        let kinds = kinds(&credentials);
        let mut connection =
            gateway.first_answer(listen, kinds.iter().find(|kind| kind.status == 200))?;
        for kind in &kinds {
            // The one call that the limit lets through is no figure.
            connection.call(&kind.call)?;
        }
        Ok(Self { store, gateway, connection, kinds })
    }
}

/// Has a share of the traces recorded and sent to a collector.
fn record(file: &Path, share: f64) -> Outcome<()> {
    let to = collector::start()?;
    let otlp = format!("otlp: {{ endpoint: \"http://{to}\", sample_share: {share} }}");
    let text = fs::read_to_string(file)?;
    let logs = "access_log: true";
    Ok(fs::write(file, text.replacen(logs, &format!("{logs}, {otlp}"), 1))?)
}

/// Configures it as in the other benchmark, except that the second team may make one call a day,
/// and with patience for callgrind.
fn configure(
    folder: &Path,
    neighbours: &Neighbours,
    credentials: &Credentials,
) -> Outcome<PathBuf> {
    let file = configuration::configure(folder, neighbours, credentials)?;
    let text =
        fs::read_to_string(&file)?.replacen("redis: { url:", "redis: { deadline: 10s, url:", 1);
    let line = |line: &str| match line.strip_prefix("  team-1: {") {
        Some(rest) => {
            format!(
                "  team-1: {{{}\n",
                rest.replacen("requests_per_day: 1000000,", "requests_per_day: 1,", 1)
            )
        }
        None => format!("{line}\n"),
    };
    let text: String = text.lines().map(line).collect();
    fs::write(&file, text + "account: { requests_per_minute: 1000000 }\n")?;
    Ok(file)
}

fn free() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The upstream, on a thread of this process: it is not counted.
fn serve_upstream() -> Outcome<SocketAddr> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(async { upstream::listen() })?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || runtime.block_on(upstream::answer_everybody(listener)));
    Ok(address)
}

/// A gateway under callgrind, which ends when its handle does.
struct Gateway {
    process: Child,
    complaints: PathBuf,
}

impl Gateway {
    fn start(
        program: &Path,
        configuration: &Path,
        profile: &Path,
        folder: &Path,
        notes: &[&str],
    ) -> Outcome<Self> {
        let complaints = folder.join("gateway.err");
        let mut command = callgrind::command(program, profile, notes);
        command
            .arg("serve")
            .arg("--config")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Ok(Self { process: command.stderr(File::create(&complaints)?).spawn()?, complaints })
    }

    /// Waits until this call is answered well; the connection.
    fn first_answer(&mut self, address: SocketAddr, kind: Option<&Kind>) -> Outcome<Connection> {
        let kind = kind.ok_or("no call that is answered well")?;
        let begun = Instant::now();
        while begun.elapsed() < START_MAX && matches!(self.process.try_wait(), Ok(None)) {
            if let Ok(mut connection) = Connection::open(address)
                && matches!(connection.call(&kind.call), Ok(200))
            {
                return Ok(connection);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let said = fs::read_to_string(&self.complaints).unwrap_or_default();
        Err(format!(
            "the gateway ended, or gave no good answer within {START_MAX:?}. It said: {said}"
        )
        .into())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Asked to end, it writes down what callgrind saw.
        Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().ok();
        let begun = Instant::now();
        while begun.elapsed() < END_MAX && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// One keep-alive connection.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(START_MAX))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    fn calls(&mut self, kind: &Kind, count: usize) -> Outcome<()> {
        for _ in 0..count {
            let status = self.call(&kind.call)?;
            if status != kind.status {
                return Err(format!("{}: status {status}, not {}", kind.what, kind.status).into());
            }
        }
        Ok(())
    }

    /// Makes a call; the status of its answer.
    fn call(&mut self, call: &[u8]) -> Outcome<u16> {
        self.stream.write_all(call)?;
        loop {
            if let Some(message) = Message::find(&self.buffer)? {
                let status = job::status(&self.buffer);
                self.buffer.drain(..message.whole);
                return Ok(status);
            }
            let mut bytes = [0; 4096];
            let read = self.stream.read(&mut bytes)?;
            if read == 0 {
                return Err("the gateway closed the connection".into());
            }
            self.buffer.extend_from_slice(bytes.get(..read).unwrap_or_default());
        }
    }
}
