//! Tokens of a company's own issuer, with Redis behind the gateway: a paid call from end to end.

use serde_json::{Value, json};

use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture, pictures};
use crate::support::gateway::Gateway;
use crate::support::installation::{Installation, claims};
use crate::support::redis::RedisServer;
use crate::support::tokens::{SigningKey, key_set};

#[tokio::test]
async fn a_team_with_an_rs256_token_gets_its_pictures() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/teams/design/limits", json!({ "credits_per_month": 400 }));
    let gateway = Gateway::serve(&installation).await;
    let token = installation.token("ann@example.com");
    let replies = [
        gateway.send(&pictures(4).with(&token)).await,
        gateway.send(&pictures(2).with(&token)).await,
    ];
    let mut addresses = Vec::new();
    for reply in &replies {
        assert_eq!(reply.status, 200, "{}", reply.text());
        let images = reply.json()["images"].as_array().unwrap().clone();
        addresses.extend(images.iter().map(|image| image["url"].as_str().unwrap().to_owned()));
    }
    assert_eq!(addresses.len(), 6);
    for address in addresses {
        let path = address.strip_prefix(firemoon.media().trim_end_matches('/')).unwrap();
        let host = firemoon.media().trim_start_matches("http://").trim_end_matches('/');
        let picture = Call::get(path).send_uninspected(host).await;
        assert!(picture.body.starts_with(b"\xff\xd8\xff"), "{address}");
    }
    let costs: Vec<_> =
        replies.iter().map(|reply| reply.header("x-credits-cost").unwrap()).collect();
    assert_eq!(costs, ["0.1", "0.05"]);
    assert_eq!(replies[1].header("x-credits-remaining"), Some("399.85"));
    let timing = replies[0].header("server-timing").unwrap();
    assert!(timing.starts_with("gateway;dur=") && timing.contains("upstream;dur="), "{timing}");

    let me = gateway.send(&Call::get("/gateway/v1/me").with(&token)).await.json();
    assert_eq!((&me["team"], &me["user"]), (&json!("design"), &json!("ann@example.com")));
    let line = gateway.line_written("request", |line| line["credits"] == 0.1).await;
    assert_eq!(
        (&line["team"], &line["user"], &line["model"]),
        (&json!("design"), &json!("ann@example.com"), &json!("flux/dev"))
    );
    let jwt = r#"moongate_authentications_total{kind="jwt",result="ok"}"#;
    assert!(gateway.metric(jwt).await.unwrap() >= 3.0);
}

/// The token is good on every replica.
#[tokio::test]
async fn the_same_token_is_good_in_either_header() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = Installation::on(&redis, &firemoon)
        .set("/teams/design/limits", json!({ "requests_per_day": 2 }));
    let gateways = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    let token = installation.token("ann");
    assert_eq!(gateways[0].send(&picture().with(&token)).await.status, 200);
    assert_eq!(gateways[1].send(&picture().header("x-api-key", &token)).await.status, 200);
    for gateway in &gateways {
        assert_eq!(
            gateway.send(&picture().with(&token)).await.refusal(),
            (429, "quota_exhausted".to_owned())
        );
    }
}

/// RFC 9864, from the configuration file on.
#[tokio::test]
async fn an_issuer_configured_with_ed25519_accepts_both_names() {
    let (firemoon, key) = (Firemoon::start(), SigningKey::ed("ed-0"));
    let installation =
        Installation::before(&firemoon).set("/identity/issuers/0/algorithms", json!(["Ed25519"]));
    std::fs::write(installation.folder().join("jwks.json"), key_set(&[&key, SigningKey::rsa(0)]))
        .unwrap();
    let gateway = Gateway::serve(&installation).await;
    for name in ["Ed25519", "EdDSA"] {
        let mut header = key.header();
        header["alg"] = json!(name);
        let reply = gateway.send(&picture().with(&key.sign(&header, &claims("ann")))).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
    }
    let other = gateway.send(&picture().with(&installation.token("ann"))).await;
    assert_eq!(other.refusal(), (401, "credential_invalid".to_owned()), "RS256 is not configured");
}

/// Directories name groups by distinguished names, and people are in hundreds of them.
#[tokio::test]
async fn a_token_with_three_hundred_groups_is_good() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let mut claims = claims("ann");
    let group = |number: u32| {
        format!("CN=grp-{number:04},OU=departments,OU=groups,DC=corp,DC=example,DC=com")
    };
    claims["groups"] = (0..300).map(group).chain(["grp-design".to_owned()]).collect();
    let token = SigningKey::rsa(0).token(&claims);
    assert!(token.len() > 20_000, "{}", token.len());
    let (mut old, mut new) =
        (Connection::open(gateway.team()).await, Connection::open_http2(gateway.team()).await);
    for call in [picture().with(&token), picture().header("x-api-key", &token)] {
        for connection in [&mut old, &mut new] {
            let reply = connection.send(&call).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }
    assert_eq!(firemoon.executed().await, 4);
}

/// The choice goes no further than the gateway.
#[tokio::test]
async fn a_member_of_several_teams_chooses_one() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon)
        .set("/teams/growth/limits", json!({ "requests_per_day": 1 }));
    let gateway = Gateway::serve(&installation).await;
    let mut both = claims("ann");
    both["groups"] = json!(["grp-design", "grp-growth", "grp-closed"]);
    let token = SigningKey::rsa(0).token(&both);
    let choosing = |team: &str| picture().with(&token).header("x-moongate-team", team);
    for _ in 0..2 {
        let refused = gateway.send(&picture().with(&token)).await;
        assert_eq!(refused.refusal(), (403, "team_unknown".to_owned()));
        assert!(
            refused.text().contains("several teams (design, growth, closed)"),
            "{}",
            refused.text()
        );
    }
    assert_eq!(
        gateway.send(&choosing("growth").header("x-request-id", "chosen")).await.status,
        200
    );
    let sent = firemoon.calls_of("chosen").await;
    assert!(sent.len() == 1 && !sent[0].to_string().contains("moongate-team"), "{sent:?}");
    assert_eq!(
        gateway.send(&choosing("growth")).await.refusal(),
        (429, "quota_exhausted".to_owned())
    );
    assert_eq!(gateway.send(&choosing("design")).await.status, 200, "another team's budget");
    assert_eq!(
        gateway.send(&choosing("closed")).await.refusal(),
        (403, "team_suspended".to_owned())
    );
    for (team, message) in
        [("nobody", "does not belong to the team"), ("finance.eu", "does not belong to the team")]
    {
        let refused = gateway.send(&choosing(team)).await;
        assert_eq!(refused.refusal(), (403, "team_unknown".to_owned()));
        assert!(refused.text().contains(message), "{}", refused.text());
    }
    for malformed in [
        choosing("design,growth"),
        choosing(""),
        choosing("design").header("x-moongate-team", "design"),
    ] {
        assert_eq!(gateway.send(&malformed).await.refusal(), (400, "invalid_request".to_owned()));
    }
    let key = installation.key("design");
    let with_key = |team: &str| picture().with(key).header("x-moongate-team", team);
    assert_eq!(gateway.send(&with_key("design")).await.status, 200);
    assert_eq!(gateway.send(&with_key("growth")).await.refusal(), (403, "team_unknown".to_owned()));
    assert_eq!(firemoon.executed().await, 3);
    let mut nobody = claims("ann");
    nobody["groups"] = json!(["staff"]);
    let refused = gateway.send(&picture().with(&SigningKey::rsa(0).token(&nobody))).await;
    assert!(refused.text().contains("belongs to no team of this gateway"), "{}", refused.text());
    let results = ["team_ambiguous", "team_not_theirs", "team_unknown", "team_suspended"];
    for result in results {
        let series = format!("moongate_authentications_total{{kind=\"jwt\",result=\"{result}\"}}");
        assert!(gateway.metric(&series).await.is_some_and(|count| count >= 1.0), "{result}");
    }
    let of_several = |line: &Value| line["check"] == "team_ambiguous";
    let line = gateway.line_written("a credential was refused", of_several).await;
    assert_eq!(
        (&line["issuer"], &line["kid"]),
        (&json!(crate::support::installation::ISSUER), &json!("rsa-0"))
    );
    assert!(line["why"].as_str().unwrap().contains("design, growth, closed"), "{line}");
    assert!(!gateway.output().contains(&token), "the token is in no line");
}
