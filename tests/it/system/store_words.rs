//! What the log says of the ledger's store: where it is and why it fails, once in a while; and of a new one nothing
//! alarming.

use serde_json::{Value, json};

use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisCluster, RedisServer, free_port, wait_until};

/// What is said that somebody should look at, but for how a single request ended and what the machine gives.
fn warnings(gateway: &Gateway) -> Vec<Value> {
    let said = gateway.said();
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let worries = |line: &Value| [&json!("warn"), &json!("error")].contains(&&line["level"]);
    let is_of_the_store = |line: &Value| line["msg"] != "request" && line["target"] != "moongate::app::descriptors";
    lines.filter(|line| worries(line) && is_of_the_store(line)).collect()
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_named_once_in_a_while_and_its_return_once() {
    let (port, firemoon) = (free_port(), Firemoon::start());
    let url = format!("redis://127.0.0.1:{port}");
    let installation = Installation::before(&firemoon).set("/ledger", json!({ "redis": { "url": url } }));
    let begun = std::time::Instant::now();
    let gateway = Gateway::start(&installation).await;
    let call = picture().with(installation.key("design")).header("idempotency-key", "once");
    let failed = r#"moongate_ledger_operations_total{op="probe",result="unreachable"}"#;
    wait_until("it was tried many times", || async {
        assert_eq!(gateway.send(&call).await.refusal().1, "ledger_unavailable");
        gateway.metric(failed).await.is_some_and(|times| times >= 20.0)
    })
    .await;
    let warnings = warnings(&gateway);
    // The one on the ledger, again after a quarter of a minute; the other on the register, whose failing means
    // something else.
    let most = 2 + begun.elapsed().as_secs() / 15;
    assert!(warnings.len() as u64 <= most, "{warnings:#?}");
    let line = gateway.line("the ledger fails").unwrap();
    assert_eq!(line["store"], json!(url));
    assert!(line["outage"].to_string().contains(&format!("127.0.0.1:{port}: ")), "{line}");

    let _redis = RedisServer::start_on(port).await;
    wait_until("it is said", || async { gateway.line("the ledger answers again").is_some() }).await;
    wait_until("it is ready", || async { gateway.readiness().await.0 == 200 }).await;
}

#[tokio::test]
async fn the_first_start_on_a_new_redis_is_one_line_and_no_warning() {
    let (redis, firemoon) = (RedisServer::brand_new(), Firemoon::start());
    let installation = Installation::on(&redis, &firemoon).set("/ledger/reservation_ttl", json!("6s"));
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.status, 200);
    assert_eq!(warnings(&gateway), Vec::<Value>::new());
    let said = gateway.said();
    assert_eq!(said.lines().filter(|line| line.contains("the store of the ledger is new")).count(), 1, "{said}");
    let ready = gateway.line("ready").unwrap();
    assert_eq!((&ready["team"], &ready["operator"]), (&json!(gateway.team()), &json!(gateway.operator())));
    assert_eq!(ready["teams"], 3);
    assert_eq!(gateway.lines("ready").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_behind_the_url_of_one_server_is_called_one() {
    let (cluster, firemoon) = (RedisCluster::start().await, Firemoon::start());
    let installation = Installation::on(&cluster.nodes()[0], &firemoon);
    let gateway = Gateway::start(&installation).await;
    wait_until("it says so", || async {
        let lines = gateway.lines("the ledger's store is not fit to keep what was spent");
        lines.iter().any(|line| line["flaw"].to_string().contains("ledger.redis.cluster"))
    })
    .await;
    let told = gateway.readiness().await.1["ledger_store"].to_string();
    assert!(told.contains("is a node of a Cluster"), "{told}");
    // Some of the teams live on other nodes.
    for number in 0..20 {
        let call = picture().with(installation.key(["design", "growth"][number % 2]));
        assert!([200, 503].contains(&gateway.send(&call).await.status));
    }
    let failed = gateway.line("the ledger fails");
    assert!(failed.is_none_or(|line| line["outage"].to_string().contains("ledger.redis.cluster")));
}
