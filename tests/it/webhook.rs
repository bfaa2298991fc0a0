//! Notices to a webhook that is slow, broken, refuses or is not there: tried again where that may
//! help, never for ever, and every one is counted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use moongate::credits::Credits;
use moongate::ledger::{Crossing, Observer as _, Scope, Unobserved};
use moongate::secret::Secret;
use moongate::team::{LimitKind, Share, TeamId};
use moongate::webhook::{Delivery, Notice, Observer, Sender, Settings, Watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::receiver::{Answer, Receiver};
use crate::support::redis::wait_until;

/// Remembers what became of notices.
#[derive(Default)]
struct Ends(Mutex<Vec<Delivery>>);

impl Ends {
    fn all(&self) -> Vec<Delivery> {
        self.0.lock().unwrap().clone()
    }

    fn count(&self, wanted: Delivery) -> usize {
        self.all().into_iter().filter(|delivery| *delivery == wanted).count()
    }
}

impl Observer for Ends {
    fn notice(&self, delivery: Delivery) {
        self.0.lock().unwrap().push(delivery);
    }
}

/// A sender at work, with short pauses.
struct World {
    sender: Arc<Sender>,
    ends: Arc<Ends>,
    stop: CancellationToken,
    work: JoinHandle<()>,
}

fn settings(url: &str) -> Settings {
    Settings {
        url: url.parse().unwrap(),
        authorization: Some(Secret::new("Bearer hook-secret-1f8a")),
        authorities: None,
        timeout: Duration::from_secs(600),
        first_pause: Duration::from_millis(1),
    }
}

impl World {
    fn before(settings: &Settings) -> Self {
        let ends = Arc::<Ends>::default();
        let sender = Arc::new(Sender::new(settings, ends.clone()).unwrap());
        let stop = CancellationToken::new();
        let work = tokio::spawn(Arc::clone(&sender).work(stop.clone()));
        Self { sender, ends, stop, work }
    }

    async fn until_ended(&self, count: usize) {
        wait_until("every notice has come to its end", || async { self.ends.all().len() == count })
            .await;
    }
}

fn team() -> TeamId {
    TeamId::parse("design").unwrap()
}

fn crossing() -> Crossing {
    Crossing {
        scope: Scope::Team,
        kind: LimitKind::CreditsPerMonth,
        soft: Share::WHOLE,
        max: Credits::from_micros(1_000_000),
        used: Credits::from_micros(900_000),
        reserved: Credits::from_micros(100_000),
        reset_at: None,
        at: "2026-11-22T14:26:00Z".parse().unwrap(),
    }
}

fn notice() -> Notice {
    Notice::of(&team(), &crossing())
}

#[tokio::test]
async fn what_the_ledger_tells_reaches_the_webhook_with_its_authorization() {
    let receiver = Receiver::start(&[]).await;
    let world = World::before(&settings(&receiver.url()));
    Watch::new(Arc::new(Unobserved), Arc::clone(&world.sender)).crossed(&team(), &crossing());
    world.until_ended(1).await;
    assert_eq!(world.ends.all(), [Delivery::Delivered]);
    let (headers, body) = receiver.received().remove(0);
    assert_eq!(
        [&headers["authorization"], &headers["content-type"]],
        ["Bearer hook-secret-1f8a", "application/json"]
    );
    assert_eq!(
        [&body["event"], &body["team"], &body["limit"]],
        ["budget_nearly_used", "design", "team:credits_per_month"]
    );
}

#[tokio::test]
async fn a_failing_webhook_is_retried_five_times_unchanged() {
    let receiver = Receiver::start(&[500, 503, 429].map(Answer::Status)).await;
    let world = World::before(&settings(&receiver.url()));
    world.sender.take(notice());
    world.until_ended(1).await;
    let bodies: Vec<_> = receiver.received().into_iter().map(|(_, body)| body).collect();
    assert_eq!((world.ends.all(), bodies.len()), (vec![Delivery::Delivered], 4));
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");

    receiver.script(&[Answer::Status(500); 9]);
    world.sender.take(notice());
    world.until_ended(2).await;
    assert_eq!((world.ends.all()[1], receiver.received().len()), (Delivery::Failed, 4 + 5));
}

#[tokio::test]
async fn a_refused_or_redirected_notice_is_not_retried() {
    let receiver = Receiver::start(&[400, 401, 404, 302].map(Answer::Status)).await;
    let world = World::before(&settings(&receiver.url()));
    for number in 1..=4 {
        world.sender.take(notice());
        world.until_ended(number).await;
    }
    assert_eq!((world.ends.count(Delivery::Failed), receiver.received().len()), (4, 4));
}

#[tokio::test]
async fn a_silent_webhook_delays_no_other_notice() {
    let receiver = Receiver::start(&[Answer::Never]).await;
    let world = World::before(&settings(&receiver.url()));
    world.sender.take(notice());
    wait_until("the slow one is under way", || async { receiver.received().len() == 1 }).await;
    world.sender.take(notice());
    world.until_ended(1).await;
    assert_eq!(world.ends.all(), [Delivery::Delivered]);

    let receiver = Receiver::start(&[Answer::Never; 5]).await;
    let world = World::before(&Settings {
        timeout: Duration::from_millis(50),
        ..settings(&receiver.url())
    });
    world.sender.take(notice());
    world.until_ended(1).await;
    assert_eq!(world.ends.all(), [Delivery::Failed]);
}

#[tokio::test]
async fn an_absent_webhook_loses_only_its_own_notices() {
    let world = World::before(&settings("http://127.0.0.1:1/hook"));
    for _ in 0..10 {
        world.sender.take(notice());
    }
    world.until_ended(10).await;
    assert_eq!(world.ends.count(Delivery::Failed), 10);
}

/// So are those left at the end.
#[tokio::test]
async fn notices_beyond_the_queue_are_dropped_and_counted() {
    let receiver = Receiver::start(&[Answer::Never; 100]).await;
    let world = World::before(&settings(&receiver.url()));
    for _ in 0..4 {
        world.sender.take(notice());
    }
    wait_until("all who tell are busy", || async { receiver.received().len() == 4 }).await;
    for _ in 0..1_024 + 7 {
        world.sender.take(notice());
    }
    assert_eq!(world.ends.all(), [Delivery::Dropped; 7]);
    world.stop.cancel();
    world.work.await.unwrap();
    assert_eq!(world.ends.count(Delivery::Dropped), 7 + 1_024 + 4);
    assert_eq!(world.ends.all().len(), 7 + 1_024 + 4, "each once");
}
