//! The operator's listener on a real socket: probes, metrics that Prometheus' own tool approves,
//! and who may see the rest.

use std::collections::{BTreeSet, HashSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use moongate::admin::{self, Details, Readiness, Role, Shown, Token, routes};
use moongate::admission::observe::Result as Settlement;
use moongate::clock::Clock;
use moongate::credits::Credits;
use moongate::ledger::{Crossing, LimitStatus, Outcome as Settled, Scope, Sums, Swept};
use moongate::live::Live;
use moongate::model::ModelId;
use moongate::pricing::{Delivered, Price, PriceTable};
use moongate::refusal::Refusal;
use moongate::store::Observer as _;
use moongate::team::{Limit, LimitKind, Limits, ModelRules, Share, Team, TeamId};
use moongate::telemetry::metrics::Catalogue;
use moongate::telemetry::spend::Spent;
use moongate::telemetry::{Metrics, Outcome};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::operator::api;

/// A listener on a thread and runtime of its own, as in the gateway.
pub(crate) struct Operator {
    pub(crate) address: SocketAddr,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    shown: Live<Shown>,
    shutdown: CancellationToken,
    thread: Option<JoinHandle<()>>,
    _folder: TempDir,
}

impl Operator {
    pub(crate) fn start() -> Self {
        Self::telling(Details::default)
    }

    /// One whose `/readyz` has these details.
    fn telling(details: impl Fn() -> Details + Send + Sync + 'static) -> Self {
        let metrics = Arc::new(Metrics::new(Clock::system()).expect("a good table"));
        let readiness = Readiness::new(details);
        let shown =
            Live::new(Shown { configuration: "listen: {}\n".to_owned(), ..Shown::default() });
        let folder = tempfile::tempdir().expect("a folder");
        let api = api(shown.clone(), folder.path());
        let pages = admin::Operator::new(Arc::clone(&metrics), readiness.clone(), api);
        let shutdown = CancellationToken::new();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = admin::serve(listener, pages, shutdown.clone());
        let thread = Some(std::thread::spawn(move || runtime.block_on(serving)));
        Self { address, metrics, readiness, shown, shutdown, thread, _folder: folder }
    }

    fn send(&self, request: &str) -> Page {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
        write!(stream, "{request}\r\nHost: operator\r\nConnection: close\r\n\r\n")
            .expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        Page { head: head.to_lowercase(), body: body.to_owned() }
    }

    fn get(&self, path: &str) -> Page {
        self.send(&format!("GET {path} HTTP/1.1"))
    }

    pub(crate) fn make_ready(&self) {
        self.readiness.ledger_answered();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.shutdown.cancel();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || std::thread::panicking());
    }
}

struct Page {
    head: String,
    body: String,
}

impl Page {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).expect("a status").parse().expect("a number")
    }

    fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("JSON");
        body["code"].as_str().expect("a code").to_owned()
    }
}

#[test]
fn probes_are_answered_and_say_what_is_missing() {
    let operator = Operator::start();
    assert_eq!(operator.get("/livez").status(), 200);
    let page = operator.get("/readyz");
    assert_eq!(page.status(), 503);
    assert!(
        page.body.contains("\"ready\":false")
            && page.body.contains("\"ledger\":\"it has not answered yet\"")
    );
    operator.make_ready();
    let page = operator.get("/readyz");
    assert_eq!((page.status(), page.body.contains("\"ready\":true")), (200, true));
    operator.readiness.drain();
    assert_eq!(operator.get("/readyz").status(), 503);
    assert_eq!(operator.get("/livez").status(), 200);
}

#[test]
fn a_missing_page_is_refused_in_the_documented_form() {
    let operator = Operator::start();
    let page = operator.get("/");
    assert_eq!((page.status(), page.code()), (404, "route_not_found".to_owned()));
    assert!(page.head.contains("x-request-id: "));
    let page = operator.send("POST /metrics HTTP/1.1");
    assert_eq!((page.status(), page.code()), (405, "method_not_allowed".to_owned()));
    assert!(page.head.contains("allow: get, head"));
    assert_eq!(operator.send("HEAD /metrics HTTP/1.1").body, "");
}

#[test]
fn a_page_that_panics_refuses_and_the_listener_goes_on() {
    let operator = Operator::telling(|| panic!("of this test"));
    let page = operator.get("/readyz");
    assert_eq!((page.status(), page.code()), (500, "internal".to_owned()));
    let headers =
        ["x-content-type-options: nosniff", "content-type: application/json", "x-request-id: "];
    assert!(headers.iter().all(|header| page.head.contains(header)), "{}", page.head);
    assert_eq!(operator.get("/livez").status(), 200);
}

/// The configuration is for operators alone where there are any.
#[test]
fn the_configuration_is_hidden_without_operators() {
    let operator = Operator::start();
    let configuration = |token: &str| {
        operator.send(&format!("GET /admin/v1/config HTTP/1.1\r\nAuthorization: Bearer {token}"))
    };
    assert_eq!(configuration("secret").code(), "route_not_found");

    // SHA-256 of "secret".
    let sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let sha256: Vec<u8> = (0..32)
        .map(|at| u8::from_str_radix(&sha256[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    let sha256 = sha256.try_into().expect("32 bytes");
    let token = Token { name: "ops".to_owned(), sha256, role: Role::Read };
    operator.shown.replace(Shown {
        tokens: vec![token.clone()],
        configuration: "listen: {}\n".to_owned(),
        ..Shown::default()
    });
    let page = configuration("secret");
    assert_eq!((page.status(), page.body.as_str()), (200, "listen: {}\n"));
    let page = configuration("guess");
    assert_eq!((page.status(), page.code()), (401, "credential_invalid".to_owned()));
    assert!(page.head.contains("www-authenticate: bearer error=\"invalid_token\""));
    for path in ["/admin/v1/config", "/admin/v1/nothing", "/admin"] {
        assert_eq!(operator.get(path).code(), "credential_missing", "{path}");
    }
    operator.shown.replace(Shown {
        tokens: vec![token],
        configuration: "listen: {address: x}\n".to_owned(),
        ..Shown::default()
    });
    assert_eq!(configuration("secret").body, "listen: {address: x}\n");
}

/// The description has no other page either.
#[test]
fn the_description_has_every_page_of_the_api() {
    let text = include_str!("../../../src/admin/openapi.json");
    let description: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let mut described = BTreeSet::new();
    for (path, operations) in description["paths"].as_object().expect("paths") {
        for (method, operation) in operations
            .as_object()
            .expect("operations")
            .iter()
            .filter(|(name, _)| *name != "parameters")
        {
            let all = [&operations["parameters"], &operation["parameters"]];
            let all = all.iter().filter_map(|list| list.as_array()).flatten();
            let of = |place: &str| {
                let named = all
                    .clone()
                    .filter(|one| one["in"] == place)
                    .filter_map(|one| one["name"].as_str());
                named.map(str::to_owned).collect::<BTreeSet<_>>()
            };
            let in_path = path
                .split(['{', '}'])
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<BTreeSet<_>>();
            assert_eq!(of("path"), in_path, "{path}");
            described.insert((method.clone(), path.clone(), of("query")));
        }
    }
    let offered = routes::TABLE.iter().map(|route| {
        let method = if matches!(route.page, routes::Page::Read(_)) { "get" } else { "post" };
        let query: BTreeSet<String> = route.query.iter().map(|name| (*name).to_owned()).collect();
        (method.to_owned(), route.path.to_owned(), query)
    });
    assert_eq!(described, offered.collect());
}

fn team() -> Team {
    let models = ["flux/dev", "kling/kling-2-1-master"].map(|id| ModelId::parse(id).expect(id));
    let mut shadow = Limit::new(LimitKind::RequestsPerDay, 1000);
    shadow.shadow = true;
    let limits = [
        Limit::new(LimitKind::RequestsPerMinute, 30),
        Limit::new(LimitKind::CreditsPerMonth, 400),
        shadow,
    ];
    Team {
        id: TeamId::parse("design").expect("a team"),
        state: moongate::team::State::Active,
        suspended_users: HashSet::new(),
        models: ModelRules::parse(["*"]).expect("rules"),
        limits: Arc::new(Limits::new(limits)),
        user_limits: Arc::default(),
        weight: 1,
        time_zone: jiff::tz::TimeZone::UTC,
        prices: Arc::new(PriceTable {
            version: "1".to_owned(),
            models: models.map(|model| (model, Price::free())).into_iter().collect(),
            unknown_model: None,
        }),
    }
}

/// Something of everything that can be counted.
fn work(metrics: &Metrics) {
    let team = team();
    metrics.register_teams([&team]);
    let soon = Some("2026-12-01T00:00:00Z".parse().expect("a time"));
    let kind = LimitKind::CreditsPerMonth;
    let status = LimitStatus {
        scope: Scope::Team,
        kind,
        max: 400,
        topped_up: 0,
        used: 1,
        reserved: 2,
        reset_at: soon,
        shadow: false,
        shadow_refused: false,
    };
    observe_admission(metrics, &team.id, &status);
    observe_upstream(metrics, &team.id);
    observe_identity(metrics);
    observe_ledger(metrics, &team.id, kind, soon);
    moongate::webhook::Observer::notice(metrics, moongate::webhook::Delivery::Delivered);
    moongate::catalogue::watch::Observer::prices(metrics, moongate::pricing::State::Same, 1);
    metrics.refused(Some(&team.id), &Refusal::TeamSuspended.kind(), Some("team:requests_per_day"));
    metrics.keys_expire(&team.id, None);
    metrics.reloaded(Ok(jiff::Timestamp::now()));
    let (series, catalogue) = (metrics.team(&team.id), metrics.catalogue());
    catalogue.trace_spans_total.with(["exported"]).inc();
    series.ended(catalogue, "flux/dev", Outcome::Ok);
    series.observe_duration(
        catalogue,
        Outcome::Ok,
        (Duration::from_millis(3), None, jiff::Timestamp::now()),
    );
    let sums = [Sums { charged: 1, credits: Credits::from_micros(25_000), ..Sums::default() }; 4];
    metrics.spent(&team.id, &Spent::new(), &Spent::from([("flux/dev".to_owned(), sums)]));
    metrics.register_teams([]);
}

fn observe_admission(metrics: &Metrics, team: &TeamId, status: &LimitStatus) {
    use moongate::admission::Observer;
    let delivered = Delivered { images: 2, video_ms: 5_000 };
    let charged = Credits::from_micros(25_000);
    metrics.settled(team, "flux/dev", Settlement::Ended(Settled::Charged), charged, delivered);
    metrics.limit_statuses(team, std::slice::from_ref(status));
    metrics.shadow_refused(team, status);
    metrics.reservations_open(team, 1);
}

fn observe_upstream(metrics: &Metrics, team: &TeamId) {
    use moongate::upstream::Observer;
    metrics.called("flux/dev", "200", Duration::from_secs(2));
    metrics.key_healthy("primary", true);
    metrics.limit_remaining("primary", "minute", 59);
    metrics.queue_joined(team);
    metrics.queue_waited(team, Duration::from_secs(2));
    metrics.balance("primary", Credits::from_micros(1_500_000));
    metrics.drift("primary", -2_500_000);
    metrics.tripwire();
}

fn observe_identity(metrics: &Metrics) {
    use moongate::identity::Observer;
    metrics.authenticated("jwt", "ok");
    metrics.refreshed("https://sso.example.com", "ok");
}

fn observe_ledger(
    metrics: &Metrics,
    team: &TeamId,
    kind: LimitKind,
    reset_at: Option<jiff::Timestamp>,
) {
    use moongate::ledger::Observer;
    metrics.operation("admit", "ok", Duration::from_millis(3));
    metrics.batch(3);
    metrics.up(true);
    metrics.swept(team, Swept { released: 1, refused: 0, unknown: 0 }, &[]);
    let crossing = Crossing {
        scope: Scope::Team,
        kind,
        soft: Share::WHOLE,
        max: Credits::MAX,
        used: Credits::ZERO,
        reserved: Credits::MAX,
        reset_at,
        at: jiff::Timestamp::now(),
    };
    metrics.crossed(team, &crossing);
}

#[test]
fn prometheus_own_tool_finds_nothing_to_say_about_the_metrics() {
    let operator = Operator::start();
    work(&operator.metrics);
    let page = operator.get("/metrics");
    assert!(page.head.contains("content-type: text/plain; version=0.0.4"));
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus");
    promtool.stdin.take().expect("a pipe").write_all(page.body.as_bytes()).expect("written");
    let verdict = promtool.wait_with_output().expect("a verdict");
    let output = [verdict.stdout, verdict.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat();
    assert!(verdict.status.success() && output.is_empty(), "{output}");
}

#[test]
fn every_metric_is_shown_with_its_labels_and_help() {
    let operator = Operator::start();
    work(&operator.metrics);
    let text = operator.get("/metrics").body;
    for entry in Catalogue::TABLE {
        assert!(
            text.contains(&format!("# HELP {} {}\n", entry.name, entry.help)),
            "{}",
            entry.name
        );
        let of_it = |line: &&str| {
            line.strip_prefix(entry.name).is_some_and(|rest| rest.starts_with(['{', ' ', '_']))
        };
        let sample = text.lines().find(of_it).expect(entry.name);
        assert!(
            entry.labels.iter().all(|label| sample.contains(&format!("{label}=\""))),
            "{sample}"
        );
    }
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}");
    }
}
