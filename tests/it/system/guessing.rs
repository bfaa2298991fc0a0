//! Failed credentials from one address get slow answers and then none; other addresses are not
//! affected.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::spending::{assert_untouched, wide_limits};
use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::{Installation, claims};
use crate::support::operator::{OPS, WATCH, change, with_operators};
use crate::support::redis::wait_until;
use crate::support::tokens::SigningKey;

/// Six failures, and an hour in which further ones are refused: no test lasts that long.
fn throttle() -> Value {
    json!({ "failures": 6, "within": "1h", "slow_by": "1ms", "refuse_for": "1h" })
}

fn installation(firemoon: &Firemoon) -> Installation {
    Installation::before(firemoon)
        .set("/teams/design/limits", wide_limits())
        .set("/identity/throttle", throttle())
}

/// The same behind a proxy on this machine.
fn behind_a_proxy(firemoon: &Firemoon, header: &str) -> Installation {
    installation(firemoon)
        .set("/listen/trusted_proxies", json!(["127.0.0.0/8", "10.0.0.0/8"]))
        .set("/listen/forwarded_header", json!(header))
}

fn guess() -> Call {
    let key = moongate::identity::GatewayKey::generate().unwrap();
    picture().with(key.text.expose())
}

fn forged(user: &str) -> Call {
    let header = SigningKey::rsa(0).header();
    picture().with(&SigningKey::rsa(1).sign(&header, &claims(user)))
}

const INVALID: (u16, &str) = (401, "credential_invalid");
const REFUSED: (u16, &str) = (429, "rate_limited");

async fn expect(gateway: &Gateway, call: &Call, (status, code): (u16, &str)) {
    assert_eq!(gateway.send(call).await.refusal(), (status, code.to_owned()));
}

#[tokio::test]
async fn after_many_failures_only_bad_credentials_are_refused() {
    let firemoon = Firemoon::start();
    let installation = installation(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    for _ in 0..20 {
        expect(&gateway, &picture(), (401, "credential_missing")).await;
    }
    for number in 0..6 {
        expect(&gateway, &if number % 2 == 0 { guess() } else { forged("ann") }, INVALID).await;
    }
    let refused = [
        guess(),
        forged("bob"),
        picture().with("a.b.c"),
        picture().header("authorization", "Basic eDp5"),
    ];
    for call in &refused {
        let reply = gateway.send(call).await;
        assert_eq!(reply.refusal(), (429, "rate_limited".to_owned()));
        assert_eq!(reply.header("x-error-source"), Some("caller"));
        assert!((3500..=3600).contains(&reply.number("retry-after")), "{:?}", reply.headers);
        assert!(
            reply.header("x-ratelimit-limit").is_none()
                && reply.header("www-authenticate").is_none()
        );
        assert_eq!(
            reply.json()["errors"],
            json!(["too many credentials from your address were refused"])
        );
    }
    assert_eq!(firemoon.requests().await, 0);
    assert_untouched(&gateway, installation.key("design")).await;

    // Sent from the same address while it is refused: a key, a token that was never seen before,
    // and the same once more.
    for credential in
        [installation.key("design"), &installation.token("ann"), &installation.token("ann")]
    {
        assert_eq!(gateway.send(&picture().with(credential)).await.status, 200);
        expect(&gateway, &forged("ann"), REFUSED).await;
    }
    let suspended = picture().with(installation.key("closed"));
    expect(&gateway, &suspended, (403, "team_suspended")).await;
    expect(&gateway, &picture(), (401, "credential_missing")).await;
    let throttled = "too many credentials failed: its failures are refused for a while";
    let lines = gateway.lines_written(1, throttled).await;
    assert_eq!(lines[0]["from"], "127.0.0.1");
    let counted = r#"moongate_refusals_total{team="",reason="rate_limited",source="caller"}"#;
    assert_eq!(gateway.metric(counted).await, Some(7.0));
}

/// Otherwise somebody who guesses would look like a slow ledger.
#[tokio::test]
async fn a_delayed_refusal_is_no_time_of_the_gateways_own() {
    const SLOW_BY: f64 = 400.0;
    let firemoon = Firemoon::start();
    let slowly = json!({ "failures": 2, "within": "1h", "slow_by": "400ms", "refuse_for": "1h" });
    let installation = installation(&firemoon).set("/identity/throttle", slowly);
    let gateway = Gateway::serve(&installation).await;
    for _ in 0..2 {
        expect(&gateway, &guess(), INVALID).await;
    }
    let lines = gateway.lines_written(2, "request").await;
    let [duration, own] = ["duration_ms", "own_ms"].map(|time| lines[1][time].as_f64().unwrap());
    assert!(duration >= SLOW_BY && own <= duration - SLOW_BY, "{duration} ms, {own} its own");
}

/// A good one is not.
#[tokio::test]
async fn wrong_operator_tokens_are_logged_slowed_and_refused() {
    const SLOW_BY: Duration = Duration::from_millis(400);
    let firemoon = Firemoon::start();
    let slowly = json!({ "failures": 4, "within": "1h", "slow_by": "400ms", "refuse_for": "1h" });
    let installation =
        with_operators(Installation::before(&firemoon)).set("/identity/throttle", slowly);
    let mut gateway = Gateway::serve(&installation).await;
    gateway.forbid("guessed-token-");
    let ask = async |call: Call| {
        let began = Instant::now();
        (call.send_uninspected(gateway.operator()).await, began.elapsed())
    };
    let wrong = |number: u32| Call::get("/admin/v1/teams").with(&format!("guessed-token-{number}"));
    let refusals = || gateway.lines("an operator's token was refused");
    for number in 1..=4 {
        let id = format!("guess-{number}");
        let (reply, took) = ask(wrong(number).header("x-request-id", &id)).await;
        assert_eq!(reply.refusal(), (401, "credential_invalid".to_owned()), "{number}");
        assert!(number <= 2 || took >= SLOW_BY, "the answer to guess {number} came after {took:?}");
        wait_until("the guess left a line", || async { refusals().len() == number as usize }).await;
        let line = refusals().pop().unwrap();
        assert_eq!((&line["level"], &line["event"]), (&json!("warn"), &json!("admin_refused")));
        assert_eq!((&line["from"], &line["request_id"]), (&json!("127.0.0.1"), &json!(id)));
    }
    let (refused, _) = ask(wrong(5)).await;
    assert_eq!(refused.refusal(), (429, "rate_limited".to_owned()));
    assert!((1..=3600).contains(&refused.number("retry-after")));
    // Operators at the same address and teams are not throttled for it.
    for token in [OPS, WATCH] {
        assert_eq!(ask(Call::get("/admin/v1/teams").with(token)).await.0.status, 200);
    }
    expect(&gateway, &guess(), INVALID).await;
    assert_eq!(ask(wrong(6)).await.0.status, 429);
    change(&gateway, "/admin/v1/teams/design/suspend", json!({})).await;
    wait_until("the log has come so far", || async {
        gateway.line("an operator made a change").is_some()
    })
    .await;
    assert_eq!(refusals().len(), 4, "a flood of guesses is no flood of lines");
    let throttled = "too many credentials failed: its failures are refused for a while";
    let lines = gateway.lines_written(1, throttled).await;
    assert_eq!((&lines[0]["from"], &lines[0]["whose"]), (&json!("127.0.0.1"), &json!("operators")));
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_caller_answers_for_itself() {
    let firemoon = Firemoon::start();
    let cases = [
        (
            "x-forwarded-for",
            ["192.0.2.1", "203.0.113.9, 192.0.2.1", "192.0.2.1:4711, 10.1.2.3"],
            "192.0.2.2",
        ),
        (
            "forwarded",
            ["for=192.0.2.1", "for=203.0.113.9, for=192.0.2.1;proto=https", "For=\"192.0.2.1:80\""],
            "for=192.0.2.2",
        ),
    ];
    for (header, same, other) in cases {
        let gateway = Gateway::serve(&behind_a_proxy(&firemoon, header)).await;
        for _ in 0..6 {
            expect(&gateway, &guess().header(header, same[0]), INVALID).await;
        }
        for credential in same {
            expect(&gateway, &guess().header(header, credential), REFUSED).await;
        }
        expect(&gateway, &guess().header(header, other), INVALID).await;
        expect(&gateway, &guess(), INVALID).await;
    }
}

#[tokio::test]
async fn a_caller_cannot_say_that_it_is_somewhere_else() {
    let firemoon = Firemoon::start();
    let spoofs = |number: u8| {
        let address = format!("198.51.100.{number}");
        [
            ("x-forwarded-for", address.clone()),
            ("forwarded", format!("for={address}")),
            ("x-real-ip", address),
        ]
    };
    // Checked without a proxy, and behind one that writes another header.
    let written = behind_a_proxy(&firemoon, "x-forwarded-for");
    for (installation, real) in [(installation(&firemoon), None), (written, Some("192.0.2.7"))] {
        let gateway = Gateway::serve(&installation).await;
        let guess_from = |number: u8| {
            let mut call = guess();
            for (name, value) in spoofs(number) {
                call = match (name, real) {
                    ("x-forwarded-for", Some(real)) => call.header(name, &value).header(name, real),
                    (_, _) => call.header(name, &value),
                };
            }
            call
        };
        for number in 0..6 {
            expect(&gateway, &guess_from(number), INVALID).await;
        }
        for number in 6..20 {
            expect(&gateway, &guess_from(number), REFUSED).await;
        }
    }
}

#[tokio::test]
async fn a_flood_from_many_addresses_blocks_and_frees_nobody() {
    let firemoon = Firemoon::start();
    let installation = behind_a_proxy(&firemoon, "x-forwarded-for");
    let gateway = Gateway::serve(&installation).await;
    let held = "192.0.2.1";
    for _ in 0..6 {
        expect(&gateway, &guess().header("x-forwarded-for", held), INVALID).await;
    }
    let mut connection = Connection::open(gateway.team()).await;
    for number in 0..2000_u32 {
        let from = format!("2001:db8:{:x}:{:x}::1", number >> 8, number & 0xff);
        let reply = connection.send(&guess().header("x-forwarded-for", &from)).await;
        assert_eq!(reply.refusal(), (401, "credential_invalid".to_owned()));
    }
    expect(&gateway, &guess().header("x-forwarded-for", held), REFUSED).await;
    expect(&gateway, &guess().header("x-forwarded-for", "198.51.100.1"), INVALID).await;
    let good = picture().with(installation.key("design")).header("x-forwarded-for", held);
    assert_eq!(gateway.send(&good).await.status, 200);
}

#[tokio::test]
async fn good_callers_are_served_through_a_flood_of_forgeries() {
    let firemoon = Firemoon::start();
    // No caller is throttled here: every forged token is there to be verified.
    let installation = behind_a_proxy(&firemoon, "x-forwarded-for")
        .set("/identity/throttle/failures", json!(1_000_000))
        .set("/teams/design/limits", json!({}));
    let gateway = Gateway::serve(&installation).await;
    let (key, token) = (installation.key("design"), installation.token("ann"));
    assert_eq!(gateway.send(&picture().with(&token)).await.status, 200, "verified once");
    let flood = |caller: usize| {
        let address = gateway.team().to_owned();
        let calls: Vec<Call> = (0..8).map(|user| forged(&format!("{caller}-{user}"))).collect();
        tokio::spawn(async move {
            let (mut connection, mut refused) = (Connection::open(&address).await, 0);
            for call in calls.iter().cycle().take(60) {
                match connection.send(call).await.refusal() {
                    (401, code) if code == "credential_invalid" => refused += 1,
                    (503, code) if code == "overloaded" => refused += 1,
                    other => panic!("{other:?}"),
                }
            }
            refused
        })
    };
    let floods: Vec<_> = (0..20).map(flood).collect();
    let mut connection = Connection::open(gateway.team()).await;
    let mut served = 0;
    while floods.iter().any(|flood| !flood.is_finished()) {
        for credential in [key, &token] {
            let reply = connection.send(&picture().with(credential)).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            served += 1;
        }
    }
    for flood in floods {
        assert_eq!(flood.await.unwrap(), 60);
    }
    assert!(served > 0);
    assert_eq!(firemoon.executed().await, served + 1);
}
