//! Tokens of a company's own issuer, with Redis behind the gateway: the whole way of a paid call.

use serde_json::json;

use crate::support::caller::{Call, Connection};
use crate::support::firemoon::{Firemoon, picture, pictures};
use crate::support::gateway::Gateway;
use crate::support::installation::{Installation, claims};
use crate::support::redis::RedisServer;
use crate::support::tokens::SigningKey;

#[tokio::test]
async fn with_an_rs256_token_and_redis_a_team_gets_its_pictures() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation =
        Installation::on(&redis, &firemoon).set("/teams/design/limits", json!({ "credits_per_month": 400 }));
    let gateway = Gateway::serve(&installation).await;
    let token = installation.token("ann@example.com");
    let replies = [gateway.send(&pictures(4).with(&token)).await, gateway.send(&pictures(2).with(&token)).await];
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
        assert!(picture.body.starts_with(b"\x89PNG\r\n\x1a\n"), "{address}");
    }
    let costs: Vec<_> = replies.iter().map(|reply| reply.header("x-credits-cost").unwrap()).collect();
    assert_eq!(costs, ["0.1", "0.05"]);
    assert_eq!(replies[1].header("x-credits-remaining"), Some("399.85"));
    let timing = replies[0].header("server-timing").unwrap();
    assert!(timing.starts_with("gateway;dur=") && timing.contains("upstream;dur="), "{timing}");

    let me = gateway.send(&Call::get("/gateway/v1/me").with(&token)).await.json();
    assert_eq!((&me["team"], &me["user"]), (&json!("design"), &json!("ann@example.com")));
    let line = gateway.lines("request").into_iter().find(|line| line["credits"] == 0.1).unwrap();
    assert_eq!(
        (&line["team"], &line["user"], &line["model"]),
        (&json!("design"), &json!("ann@example.com"), &json!("flux/dev"))
    );
    let jwt = r#"moongate_authentications_total{kind="jwt",result="ok"}"#;
    assert!(gateway.metric(jwt).await.unwrap() >= 3.0);
}

#[tokio::test]
async fn the_same_token_is_good_in_either_header_and_on_every_replica() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation =
        Installation::on(&redis, &firemoon).set("/teams/design/limits", json!({ "requests_per_day": 2 }));
    let gateways = [Gateway::serve(&installation).await, Gateway::serve(&installation).await];
    let token = installation.token("ann");
    assert_eq!(gateways[0].send(&picture().with(&token)).await.status, 200);
    assert_eq!(gateways[1].send(&picture().header("x-api-key", &token)).await.status, 200);
    for gateway in &gateways {
        assert_eq!(gateway.send(&picture().with(&token)).await.refusal(), (429, "quota_exhausted".to_owned()));
    }
}

/// Directories name groups by distinguished names, and people are in hundreds of them.
#[tokio::test]
async fn a_token_with_three_hundred_groups_is_good_over_both_versions_of_http() {
    let firemoon = Firemoon::start();
    let installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let mut claims = claims("ann");
    let group = |number: u32| format!("CN=grp-{number:04},OU=departments,OU=groups,DC=corp,DC=example,DC=com");
    claims["groups"] = (0..300).map(group).chain(["grp-design".to_owned()]).collect();
    let token = SigningKey::rsa(0).token(&claims);
    assert!(token.len() > 20_000, "{}", token.len());
    let (mut old, mut new) = (Connection::open(gateway.team()).await, Connection::open_http2(gateway.team()).await);
    for call in [picture().with(&token), picture().header("x-api-key", &token)] {
        for connection in [&mut old, &mut new] {
            let reply = connection.send(&call).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
    }
    assert_eq!(firemoon.executed().await, 4);
}
