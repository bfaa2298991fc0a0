//! Where each layer sits, proved on the real stack: what the types of the layers cannot say.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use moongate::admission::ReservationManager;
use moongate::app::{acquire, worker};
use moongate::clock::Clock;
use moongate::config;
use moongate::identity::GatewayKey;
use moongate::ledger::{
    Admission, BudgetSnapshot, Days, Ledger, OpenCall, Outage, ReservationId, Rows, Settled,
    Settlement, SnapshotQuery, Swept, TopUp, ToppedUp, Usage, Verdict,
};
use moongate::request::Inbound;
use moongate::stack::stack;
use moongate::team::TeamId;
use moongate::telemetry::metrics::Format;
use moongate::telemetry::{AccessLog, AuditLog, Metrics};
use moongate::upstream::breaker::HealthSignal;
use tower::{Service, ServiceExt};

/// What the ledger of these tests does when it is asked to admit.
#[derive(Clone, Copy)]
enum OnAdmit {
    Refuse,
    Panic,
}

/// A ledger that counts how often it was asked to admit.
struct Counting {
    admissions: AtomicUsize,
    on_admit: OnAdmit,
}

impl Counting {
    fn gone<T>() -> Result<T, Outage> {
        Err(Outage::TimedOut)
    }
}

impl Ledger for Counting {
    fn admit(&self, _: Admission) -> BoxFuture<'_, Result<Verdict, Outage>> {
        self.admissions.fetch_add(1, Ordering::SeqCst);
        match self.on_admit {
            OnAdmit::Refuse => std::future::ready(Self::gone()).boxed(),
            OnAdmit::Panic => async { panic!("the ledger of this test panics") }.boxed(),
        }
    }

    fn quote(&self, _: Admission) -> BoxFuture<'_, Result<Verdict, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn dispatch<'a>(
        &'a self,
        _: &'a TeamId,
        _: ReservationId,
    ) -> BoxFuture<'a, Result<bool, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn recall<'a>(
        &'a self,
        _: &'a TeamId,
        _: ReservationId,
    ) -> BoxFuture<'a, Result<bool, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn settle<'a>(
        &'a self,
        _: &'a TeamId,
        _: Settlement,
    ) -> BoxFuture<'a, Result<Settled, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn release_slots<'a>(
        &'a self,
        _: &'a TeamId,
        _: ReservationId,
    ) -> BoxFuture<'a, Result<(), Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn renew<'a>(
        &'a self,
        _: &'a TeamId,
        _: &'a [ReservationId],
    ) -> BoxFuture<'a, Result<(), Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn sweep<'a>(&'a self, _: &'a TeamId) -> BoxFuture<'a, Result<Swept, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn snapshot(&self, _: SnapshotQuery) -> BoxFuture<'_, Result<BudgetSnapshot, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn open_call<'a>(
        &'a self,
        _: &'a TeamId,
        _: ReservationId,
    ) -> BoxFuture<'a, Result<Option<OpenCall>, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn open_calls<'a>(&'a self, _: &'a TeamId) -> BoxFuture<'a, Result<Vec<OpenCall>, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn teams(&self) -> BoxFuture<'_, Result<Vec<TeamId>, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn open<'a>(&'a self, _: &'a TeamId) -> BoxFuture<'a, Result<u64, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn rows<'a>(
        &'a self,
        _: &'a TeamId,
        _: usize,
        _: usize,
    ) -> BoxFuture<'a, Result<Rows, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn usage<'a>(&'a self, _: &'a TeamId, _: Days) -> BoxFuture<'a, Result<Vec<Usage>, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn top_up<'a>(&'a self, _: &'a TeamId, _: TopUp) -> BoxFuture<'a, Result<ToppedUp, Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn accept_loss<'a>(&'a self, _: &'a TeamId) -> BoxFuture<'a, Result<(), Outage>> {
        std::future::ready(Self::gone()).boxed()
    }

    fn closed(&self) -> Vec<TeamId> {
        Vec::new()
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Outage>> {
        std::future::ready(Self::gone()).boxed()
    }
}

/// A body that must not be looked at.
struct Untouchable;

impl Body for Untouchable {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body was read")
    }
}

/// A body that ends before its end.
struct Cut;

impl Body for Cut {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())))
    }
}

/// The real stack of a real worker, with a counting ledger.
struct World {
    acquired: moongate::app::Acquired,
    ledger: Arc<Counting>,
    key: GatewayKey,
    _folder: tempfile::TempDir,
}

impl World {
    fn new(on_admit: OnAdmit) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = GatewayKey::generate().unwrap();
        let text = format!(
            r#"
listen: {{ address: "127.0.0.1:0", workers: 1 }}
admin: {{ address: "127.0.0.1:0" }}
upstream:
  base_url: "http://127.0.0.1:9/api"
  keys: [{{ name: primary, secret: {{ env: KEY }} }}]
ledger: {{ embedded: {{ path: "{}" }} }}
identity: {{ keys: [{{ id: {}, team: design, name: test, sha256: "{}" }}] }}
teams: {{ design: {{ models: ["flux/*", "!flux/pro"] }} }}
pricing: {{ models: {{ flux/dev: {{ per_image: 0.025 }}, flux/pro: {{ per_image: 0.05 }} }} }}
"#,
            folder.path().join("ledger.db").display(),
            key.id,
            key.hash.to_hex(),
        );
        let environment = |name: &str| (name == "KEY").then(|| "fm-shared-key".to_owned());
        let settings = config::parse(&text, "test", &environment)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let clock = Clock::system();
        let metrics = Arc::new(Metrics::new(clock.clone()).unwrap());
        let acquired =
            acquire(&settings, &metrics, &AccessLog::off(), &AuditLog::off(), clock).unwrap();
        let ledger = Arc::new(Counting { admissions: AtomicUsize::new(0), on_admit });
        Self { acquired, ledger, key, _folder: folder }
    }

    fn stack<B>(
        &self,
    ) -> impl Service<
        Inbound<B>,
        Response = Response<impl Body<Data = Bytes, Error = Infallible>>,
        Error = Infallible,
    >
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        let Self { acquired, ledger, .. } = self;
        let observer = acquired.metrics.clone();
        let tracker = acquired.drain.open.clone();
        let (manager, _tasks) =
            ReservationManager::new(ledger.clone(), observer, acquired.admission, tracker);
        stack(worker::parts(acquired, manager))
    }

    /// The status and the code of the answer to a call of this model with this body.
    async fn call<B>(&self, model: &str, key: Option<&str>, body: B) -> (u16, String)
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        let mut request = Request::post(format!("/api/v1/{model}"))
            .header("host", "gateway")
            .header("content-type", "application/json")
            .header("x-request-id", "r-1");
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let request = request.body(body).unwrap();
        let too_late = self.acquired.drain.is_refusing();
        let inbound = Inbound { request, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), too_late };
        let answer = self.stack().oneshot(inbound).await.unwrap_or_else(|never| match never {});
        assert_eq!(
            answer.headers()["x-request-id"],
            "r-1",
            "every answer carries the request's name"
        );
        let status = answer.status().as_u16();
        let body =
            answer.into_body().collect().await.unwrap_or_else(|never| match never {}).to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["requestId"], "r-1");
        (status, body["code"].as_str().unwrap().to_owned())
    }

    fn key(&self) -> Option<&str> {
        Some(self.key.text.expose())
    }

    fn admissions(&self) -> usize {
        self.ledger.admissions.load(Ordering::SeqCst)
    }

    /// The value of a series, as `/metrics` shows it.
    fn metric(&self, series: &str) -> String {
        let text = String::from_utf8(self.acquired.metrics.render(Format::Text)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or("absent").to_owned()
    }
}

fn body() -> Full<Bytes> {
    Full::from(r#"{"prompt":"a lighthouse"}"#)
}

#[tokio::test]
async fn a_panic_is_one_callers_500_counted_like_any_answer() {
    let world = World::new(OnAdmit::Panic);
    assert_eq!(world.call("flux/dev", world.key(), body()).await, (500, "internal".to_owned()));
    assert_eq!(
        world.metric(r#"moongate_http_requests_total{route="/api/v1/{model}",code="500"}"#),
        "1"
    );
    let refusal = r#"moongate_refusals_total{team="design",reason="internal",source="gateway"}"#;
    assert_eq!(world.metric(refusal), "1");
    assert_eq!(world.metric(r#"moongate_http_in_flight{route="/api/v1/{model}"}"#), "0");
    assert_eq!(world.metric(r#"moongate_team_in_flight{team="design"}"#), "0");
}

#[tokio::test]
async fn nobody_learns_anything_without_a_credential() {
    let world = World::new(OnAdmit::Refuse);
    for model in ["flux/dev", "flux/pro", "no/such-model"] {
        assert_eq!(
            world.call(model, None, Untouchable).await,
            (401, "credential_missing".to_owned()),
            "{model}"
        );
    }
    assert_eq!(world.admissions(), 0);
}

/// The refusal is counted for the team.
#[tokio::test]
async fn a_model_is_refused_before_its_body_is_read() {
    let world = World::new(OnAdmit::Refuse);
    assert_eq!(
        world.call("flux/pro", world.key(), Untouchable).await,
        (403, "model_not_allowed".to_owned())
    );
    assert_eq!(
        world.call("flux/none", world.key(), Untouchable).await,
        (404, "model_unknown".to_owned())
    );
    let refused =
        r#"moongate_team_requests_total{team="design",model="flux/pro",outcome="refused"}"#;
    assert_eq!(world.metric(refused), "1");
    assert_eq!(world.admissions(), 0);
}

#[tokio::test]
async fn a_broken_body_never_reaches_the_ledger() {
    let world = World::new(OnAdmit::Refuse);
    assert_eq!(world.call("flux/dev", world.key(), Cut).await, (400, "invalid_body".to_owned()));
    assert_eq!(
        world.call("flux/dev", world.key(), Full::from("[]")).await,
        (400, "invalid_body".to_owned())
    );
    assert_eq!(world.admissions(), 0);
}

#[tokio::test]
async fn nothing_is_sent_without_the_ledgers_word() {
    let world = World::new(OnAdmit::Refuse);
    assert_eq!(
        world.call("flux/dev", world.key(), body()).await,
        (503, "ledger_unavailable".to_owned())
    );
    assert_eq!(world.admissions(), 1);
    assert_eq!(
        world.metric(
            r#"moongate_upstream_requests_total{model="flux/dev",code="upstream_unreachable"}"#
        ),
        "absent"
    );
}

#[tokio::test]
async fn an_open_breaker_reserves_nothing_and_models_are_still_refused() {
    let world = World::new(OnAdmit::Refuse);
    let (upstream, team) = (world.acquired.live.upstream.read(), TeamId::parse("design").unwrap());
    while !upstream.breaker.note(&team, HealthSignal::Failed, world.acquired.clock.elapsed()) {}
    assert_eq!(
        world.call("flux/dev", world.key(), body()).await,
        (503, "upstream_unavailable".to_owned())
    );
    assert_eq!(
        world.call("flux/pro", world.key(), Untouchable).await,
        (403, "model_not_allowed".to_owned())
    );
    assert_eq!(world.admissions(), 0);
}

#[tokio::test]
async fn a_draining_gateway_refuses_before_it_asks_who_calls() {
    let world = World::new(OnAdmit::Refuse);
    world.acquired.drain.refuse();
    assert_eq!(world.call("flux/dev", None, Untouchable).await, (503, "draining".to_owned()));
    assert_eq!(world.metric(r#"moongate_http_requests_total{route="none",code="503"}"#), "1");
}
