//! Spans for a collector that is slow, refuses, or is not there: sent again where that may help,
//! never for ever, and every span is counted.

use std::sync::Arc;
use std::time::Duration;

use moongate::clock::Clock;
use moongate::request::{RequestLog, Stage, TraceIds};
use moongate::secret::Secret;
use moongate::team::Share;
use moongate::telemetry::Metrics;
use moongate::telemetry::traces::{self, Exporter, Settings, Tracer, tracer::WAITING_MAX};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::collector::{Answer, Collector};
use crate::support::redis::wait_until;

/// A tracer, and metrics that count what became of its spans.
struct World {
    metrics: Metrics,
    tracer: Arc<Tracer>,
    ids: Arc<TraceIds>,
}

/// An exporter at work.
struct Work {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn settings(endpoint: &str) -> Settings {
    Settings {
        url: format!("{endpoint}/v1/traces").parse().unwrap(),
        headers: vec![(http::header::AUTHORIZATION, Secret::new("Bearer trace-secret-5c1e"))],
        authorities: None,
        sample_share: Share::WHOLE,
        timeout: Duration::from_secs(600),
        gather: Duration::from_millis(1),
        first_pause: Duration::from_millis(1),
        finish: Duration::from_secs(600),
    }
}

impl World {
    fn before(settings: &Settings) -> (Self, Exporter) {
        let clock = Clock::system();
        let metrics = Metrics::new(clock.clone()).unwrap();
        let (tracer, exporter) = traces::start(settings, &metrics, clock, "http").unwrap();
        (Self { metrics, tracer, ids: Arc::default() }, exporter)
    }

    fn at_work(settings: &Settings) -> (Self, Work) {
        let (world, exporter) = Self::before(settings);
        let stop = CancellationToken::new();
        let task = tokio::spawn(exporter.work(stop.clone()));
        (world, Work { stop, task })
    }

    /// A request of one stage, which is one span.
    fn request(&self) {
        let log: RequestLog = self.tracer.begin(self.ids.next(None), None, &self.ids);
        log.enter(Stage::Admit).end();
    }

    /// Spans that were exported, dropped and failed.
    fn counted(&self) -> [u64; 3] {
        let of = |result| self.metrics.catalogue().trace_spans_total.with([result]).get();
        ["exported", "dropped", "failed"].map(of)
    }

    async fn until_ended(&self, spans: u64) {
        wait_until("every span has come to its end", || async {
            self.counted().iter().sum::<u64>() == spans
        })
        .await;
    }
}

#[tokio::test]
async fn spans_are_posted_as_otlp_with_the_configured_headers() {
    let collector = Collector::start(&[]).await;
    let (world, _work) = World::at_work(&settings(&collector.endpoint()));
    world.request();
    world.until_ended(1).await;
    assert_eq!(world.counted(), [1, 0, 0]);
    let export = collector.received().remove(0);
    assert_eq!((export.method.as_str(), &*export.path), ("POST", "/v1/traces"));
    assert_eq!(
        [&export.headers["authorization"], &export.headers["content-type"]],
        ["Bearer trace-secret-5c1e", "application/x-protobuf"]
    );
    let spans = collector.spans();
    assert_eq!((spans.len(), &*spans[0].name), (1, "admit"));
}

#[tokio::test]
async fn what_may_pass_is_sent_again_unchanged_five_times() {
    let collector = Collector::start(&[429, 502, 503, 504].map(Answer::Status)).await;
    let (world, _work) = World::at_work(&settings(&collector.endpoint()));
    world.request();
    world.until_ended(1).await;
    let bodies: Vec<_> = collector.received().into_iter().map(|export| export.body).collect();
    assert_eq!((world.counted(), bodies.len()), ([1, 0, 0], 5));
    assert!(bodies.iter().all(|body| *body == bodies[0]));

    let collector = Collector::start(&[Answer::Status(503); 9]).await;
    let (world, _work) = World::at_work(&settings(&collector.endpoint()));
    world.request();
    world.until_ended(1).await;
    assert_eq!((world.counted(), collector.received().len()), ([0, 0, 1], 5));
}

#[tokio::test]
async fn a_collector_that_names_a_time_is_asked_again_then() {
    let collector = Collector::start(&[Answer::Later(503, "0")]).await;
    let settings =
        Settings { first_pause: Duration::from_secs(3600), ..settings(&collector.endpoint()) };
    let (world, _work) = World::at_work(&settings);
    world.request();
    world.until_ended(1).await;
    assert_eq!((world.counted(), collector.received().len()), ([1, 0, 0], 2));
}

#[tokio::test]
async fn a_refused_batch_is_final_and_the_next_is_sent() {
    let refusals = [400, 401, 404, 500, 302];
    let collector = Collector::start(&refusals.map(Answer::Status)).await;
    let (world, _work) = World::at_work(&settings(&collector.endpoint()));
    for ended in 1..=6 {
        world.request();
        world.until_ended(ended).await;
    }
    assert_eq!((world.counted(), collector.received().len()), ([1, 0, 5], 6));
}

#[tokio::test]
async fn spans_that_a_collector_rejects_count_as_failed() {
    let collector = Collector::start(&[Answer::Without(2)]).await;
    let (world, exporter) = World::before(&settings(&collector.endpoint()));
    (0..5).for_each(|_| world.request());
    tokio::spawn(exporter.work(CancellationToken::new()));
    world.until_ended(5).await;
    assert_eq!((world.counted(), collector.received().len()), ([3, 0, 2], 1));
}

#[tokio::test]
async fn spans_beyond_the_queue_are_dropped_and_counted() {
    let collector = Collector::start(&[]).await;
    let (world, exporter) = World::before(&settings(&collector.endpoint()));
    (0..WAITING_MAX + 7).for_each(|_| world.request());
    assert_eq!(world.counted(), [0, 7, 0]);
    tokio::spawn(exporter.work(CancellationToken::new()));
    world.until_ended(WAITING_MAX as u64 + 7).await;
    assert_eq!(world.counted(), [WAITING_MAX as u64, 7, 0]);
    assert_eq!(collector.received().len(), WAITING_MAX / 512, "in batches");
}

#[tokio::test]
async fn what_is_left_at_the_end_is_sent() {
    let collector = Collector::start(&[Answer::Status(503)]).await;
    let settings = Settings {
        gather: Duration::from_secs(3600),
        first_pause: Duration::from_secs(3600),
        ..settings(&collector.endpoint())
    };
    let (world, work) = World::at_work(&settings);
    (0..3).for_each(|_| world.request());
    work.stop.cancel();
    work.task.await.unwrap();
    assert_eq!(world.counted(), [0, 0, 3], "a stopping replica asks once");

    let collector = Collector::start(&[]).await;
    let settings =
        Settings { gather: Duration::from_secs(3600), ..self::settings(&collector.endpoint()) };
    let (world, work) = World::at_work(&settings);
    (0..3).for_each(|_| world.request());
    work.stop.cancel();
    work.task.await.unwrap();
    assert_eq!(world.counted(), [3, 0, 0]);
}

#[tokio::test]
async fn a_stop_ends_the_pause_before_the_next_attempt() {
    let collector = Collector::start(&[Answer::Later(503, "3600")]).await;
    let (world, work) = World::at_work(&settings(&collector.endpoint()));
    world.request();
    wait_until("it was asked", || async { collector.received().len() == 1 }).await;
    work.stop.cancel();
    work.task.await.unwrap();
    assert_eq!((world.counted(), collector.received().len()), ([1, 0, 0], 2));
}

#[tokio::test]
async fn a_silent_collector_holds_up_the_end_only_briefly() {
    let collector = Collector::start(&[Answer::Never; 9]).await;
    let settings =
        Settings { finish: Duration::from_millis(50), ..settings(&collector.endpoint()) };
    let (world, work) = World::at_work(&settings);
    world.request();
    wait_until("it was asked", || async { collector.received().len() == 1 }).await;
    (0..3).for_each(|_| world.request());
    work.stop.cancel();
    work.task.await.unwrap();
    assert_eq!(world.counted(), [0, 4, 0]);
}

#[tokio::test]
async fn an_absent_collector_loses_only_spans() {
    let (world, _work) = World::at_work(&settings("http://127.0.0.1:1"));
    world.request();
    world.until_ended(1).await;
    assert_eq!(world.counted(), [0, 0, 1]);
}
