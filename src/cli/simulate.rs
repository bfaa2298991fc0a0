//! `moongate simulate`: the Firemoon simulator alone, on two ports, until it is stopped.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::address;
use crate::credits::{Credits, NotCredits};
use crate::simulator::{
    self, BalanceShape, Charge, History, KeySettings, Latency, Limits, ListShape, Settings,
    Simulator,
};

/// Help for what is not a flag but a request to a running simulator.
const CONTROL: &str = r#"While it runs, without a credential:
  GET    /_simulator/books      what was executed and charged, call by call
                                (?calls=N, ?x_request_id=ID)
  PUT    /_simulator/faults     what goes wrong, a JSON array of rules, such as
                                [{"fault": "rate_limited", "model": "flux/dev", "times": 1}]
  GET    /_simulator/faults     the rules that are left
  DELETE /_simulator/faults     nothing goes wrong any more
  PUT    /_simulator/keys/NAME  suspends, revokes, refills or limits a key
  POST   /_simulator/release    lets the calls go on that the fault `hold` keeps
  POST   /_simulator/reset      everything as it was at the start

A single call asks for a fault by its header: x-simulator-fault: slow_headers;45s
All faults and their fields: src/simulator/README.md"#;

/// Runs the Firemoon simulator: the documented API, real pictures and videos, and faults on demand.
#[derive(clap::Args)]
#[command(after_help = CONTROL)]
pub struct Simulate {
    /// Address of the API; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9400")]
    address: SocketAddr,
    /// Address of the media host; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9401")]
    media_address: SocketAddr,
    /// The media host's address in answers, if it differs from the one above
    #[arg(long, value_name = "URL", value_parser = media_url)]
    media_url: Option<String>,
    /// An accepted key: SECRET, NAME=SECRET or NAME@ACCOUNT=SECRET; repeatable. Keys of one account
    /// share its balance. Without any, the two keys of Firemoon's old documentation are accepted
    #[arg(long = "key", value_name = "KEY", value_parser = key)]
    keys: Vec<KeySettings>,
    /// Calls a key may make in one minute of the wall clock; 0 for any number [default: 60]
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u64>,
    /// Calls a key may make in one day (UTC); 0 for any number [default: 1000]
    #[arg(long, value_name = "N")]
    requests_per_day: Option<u64>,
    /// Calls a key may make in one month (UTC); 0 for any number [default: 10000]
    #[arg(long, value_name = "N")]
    requests_per_month: Option<u64>,
    /// Credits of every account at the start
    #[arg(long, value_name = "CREDITS", default_value = "100")]
    balance: Credits,
    /// How long a generation takes: 50ms, or 500ms..2s for a random time between [default: as
    /// documented for each model]
    #[arg(long, value_name = "TIME", value_parser = latency)]
    latency: Option<Latency>,
    /// Another price: MODEL=CREDITS for an image or a second of video; repeatable
    #[arg(long = "price", value_name = "PRICE", value_parser = price)]
    prices: Vec<(String, Credits)>,
    /// When a generation is charged
    #[arg(long, value_enum, default_value = "on-success")]
    charge: Charge,
    /// Who may read /api/generations and /api/usage
    #[arg(long, value_enum, default_value = "key")]
    history: History,
    /// The shape of /api/credits/balance
    #[arg(long, value_enum, default_value = "flat")]
    balance_shape: BalanceShape,
    /// The shape of /api/models
    #[arg(long, value_enum, default_value = "flat")]
    list_shape: ListShape,
    /// Send Retry-After with 429
    #[arg(long)]
    retry_after: bool,
    /// Count reading endpoints against a key's limits too
    #[arg(long)]
    reads_count: bool,
    /// Answer unknown paths, doubled slashes and oversized bodies in JSON, instead of as the
    /// hosting platform does
    #[arg(long)]
    no_platform: bool,
    /// The largest request body, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4_500_000)]
    body_bytes_max: usize,
    /// How long a generation may take before the platform answers 504
    #[arg(long, value_name = "TIME", value_parser = simulator::duration, default_value = "300s")]
    time_out: Duration,
    /// How many calls are kept in detail
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    calls_max: usize,
    /// Serve the API over TLS with this certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl Simulate {
    /// Serves until SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// A sentence for people: an address that is in use, or a certificate that cannot be read.
    pub async fn run(self) -> Result<(), String> {
        let api = listen(self.address, "--address").await?;
        let media = listen(self.media_address, "--media-address").await?;
        let address =
            |listener: &TcpListener| listener.local_addr().map_err(|error| error.to_string());
        let (api_address, media_address) = (address(&api)?, address(&media)?);
        let media_url = self.media_url.clone();
        let settings = self.settings()?;
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let media_url = media_url.map_or_else(
            || format!("http://{media_address}/"),
            |url| format!("{}/", url.trim_end_matches('/')),
        );
        announce(&format!(
            "Firemoon simulator: {scheme}://{api_address}/api\nMedia: {media_url}\n"
        ))?;
        remark(&settings);
        let shutdown = CancellationToken::new();
        tokio::spawn(wait_for_the_end(shutdown.clone())?);
        simulator::serve(Simulator::new(settings), api, media, shutdown)
            .await
            .map_err(|error| error.to_string())
    }

    fn settings(self) -> Result<Settings, String> {
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(Arc::new(tls(certificate, key)?)),
            (_, _) => None,
        };
        let mut keys = if self.keys.is_empty() { KeySettings::documented() } else { self.keys };
        let limit = |given: Option<u64>, limit: &mut Option<u64>| {
            if let Some(given) = given {
                *limit = Some(given).filter(|given| *given > 0);
            }
        };
        for key in &mut keys {
            limit(self.requests_per_minute, &mut key.limits.per_minute);
            limit(self.requests_per_day, &mut key.limits.per_day);
            limit(self.requests_per_month, &mut key.limits.per_month);
        }
        Ok(Settings {
            keys,
            balance: self.balance,
            latency: self.latency,
            prices: self.prices,
            charge: self.charge,
            history: self.history,
            balance_shape: self.balance_shape,
            list_shape: self.list_shape,
            retry_after: self.retry_after,
            reads_count: self.reads_count,
            platform_answers: !self.no_platform,
            body_bytes_max: self.body_bytes_max,
            time_out: self.time_out,
            calls_max: self.calls_max,
            media_url: self.media_url.map(|url| url.trim_end_matches('/').to_owned()),
            tls,
            ..Settings::default()
        })
    }
}

async fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener, String> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| {
        format!("cannot listen on {address}: {error}; {flag} says where it listens")
    })
}

/// Writes the two lines that people read and tests parse. Succeeds if the reader has closed the
/// output.
fn announce(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes the one line that the simulator logs. Ignores errors: the other end may be closed.
fn remark(settings: &Settings) {
    let names: Vec<&str> = settings.keys.iter().map(|key| key.name.as_str()).collect();
    let _ = writeln!(std::io::stderr(), "Keys: {}. Books: GET /_simulator/books", names.join(", "));
}

/// Installs the handlers before it returns, so that a signal right after the announcement is not
/// lost.
fn wait_for_the_end(shutdown: CancellationToken) -> Result<impl Future<Output = ()>, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    })
}

/// Parses `SECRET`, `NAME=SECRET` or `NAME@ACCOUNT=SECRET`; with an empty part, all of it is a
/// secret. Never fails, since clap would show the value, which holds a secret.
fn key(text: &str) -> Result<KeySettings, Infallible> {
    let (name, secret) = text.split_once('=').unwrap_or(("default", text));
    let (name, account) = name.split_once('@').unwrap_or((name, name));
    // Trailing equals signs are part of base64.
    let complete =
        !name.is_empty() && !account.is_empty() && !secret.trim_end_matches('=').is_empty();
    let (name, account, secret) =
        if complete { (name, account, secret) } else { ("default", "default", text) };
    Ok(KeySettings { account: account.into(), ..KeySettings::new(name, secret, Limits::PRO) })
}

fn latency(text: &str) -> Result<Latency, String> {
    let Some((from, to)) = text.split_once("..") else {
        return Ok(Latency::fixed(simulator::duration(text)?));
    };
    let (from, to) = (simulator::duration(from)?, simulator::duration(to)?);
    if from > to {
        return Err(format!("`{text}` ends before it starts"));
    }
    Ok(Latency { from, to })
}

fn media_url(text: &str) -> Result<String, String> {
    let uri: http::Uri =
        text.parse().map_err(|_| "must be http://HOST[:PORT]/PATH or https://…".to_owned())?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) => {
            address::reachable(authority).map_err(str::to_owned)?
        }
        (_, _) => return Err("must be http://HOST[:PORT]/PATH or https://…".to_owned()),
    }
    address::plain_path(uri.path()).map_err(str::to_owned)?;
    Ok(text.to_owned())
}

fn price(text: &str) -> Result<(String, Credits), String> {
    let (model, credits) = text.split_once('=').ok_or("a price is MODEL=CREDITS")?;
    let credits = credits.parse().map_err(|error: NotCredits| error.to_string())?;
    Ok((model.into(), credits))
}

fn tls(certificate: &Path, key: &Path) -> Result<rustls::ServerConfig, String> {
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        format!("cannot read {}: {error}", path.display())
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(certificate, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
    simulator::tls(chain, private)
        .map_err(|error| format!("{} does not serve: {error}", certificate.display()))
}
