//! What the log says about the ledger's store: where it is and why it fails, but not each time; and
//! no warning about a new store.

use serde_json::{Value, json};

use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisCluster, RedisServer, free_port, wait_until};

/// Warnings and errors of the log, except access lines and the lines about file descriptors.
fn warnings(gateway: &Gateway) -> Vec<Value> {
    let output = gateway.output();
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let worries = |line: &Value| [&json!("warn"), &json!("error")].contains(&&line["level"]);
    let is_of_the_store =
        |line: &Value| line["msg"] != "request" && line["target"] != "moongate::app::descriptors";
    lines.filter(|line| worries(line) && is_of_the_store(line)).collect()
}

/// The store's return is logged once.
#[tokio::test]
async fn an_unreachable_store_is_logged_at_intervals() {
    let (port, firemoon) = (free_port(), Firemoon::start());
    let url = format!("redis://127.0.0.1:{port}");
    let installation =
        Installation::before(&firemoon).set("/ledger", json!({ "redis": { "url": url } }));
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
    // The one on the ledger, again after a quarter of a minute; the other on the registry, whose
    // failing means something else.
    let most = 2 + begun.elapsed().as_secs() / 15;
    assert!(warnings.len() as u64 <= most, "{warnings:#?}");
    let line = gateway.line_written("the ledger fails", |_| true).await;
    assert_eq!(line["store"], json!(url));
    assert!(line["outage"].to_string().contains(&format!("127.0.0.1:{port}: ")), "{line}");

    let _redis = RedisServer::start_on(port).await;
    wait_until("the log says so", || async { gateway.line("the ledger answers again").is_some() })
        .await;
    wait_until("it is ready", || async { gateway.readiness().await.0 == 200 }).await;
}

/// The start logs no warning.
#[tokio::test]
async fn a_first_start_on_redis_logs_one_line() {
    let (redis, firemoon) = (RedisServer::brand_new(), Firemoon::start());
    let installation =
        Installation::on(&redis, &firemoon).set("/ledger/reservation_ttl", json!("6s"));
    let gateway = Gateway::serve(&installation).await;
    let call = picture().with(installation.key("design"));
    assert_eq!(gateway.send(&call).await.status, 200);
    assert_eq!(warnings(&gateway), Vec::<Value>::new());
    let ready = gateway.lines_written(1, "ready").await.remove(0);
    let output = gateway.output();
    assert_eq!(
        output.lines().filter(|line| line.contains("the store of the ledger is new")).count(),
        1,
        "{output}"
    );
    assert_eq!(
        (&ready["team"], &ready["operator"]),
        (&json!(gateway.team()), &json!(gateway.operator()))
    );
    assert_eq!(ready["teams"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_node_configured_as_one_server_is_reported() {
    let (cluster, firemoon) = (RedisCluster::start().await, Firemoon::start());
    let installation = Installation::on(&cluster.nodes()[0], &firemoon);
    let gateway = Gateway::start(&installation).await;
    wait_until("it says so", || async {
        let lines = gateway.lines("the ledger's store is not fit to keep what was spent");
        lines.iter().any(|line| line["flaw"].to_string().contains("ledger.redis.cluster"))
    })
    .await;
    let flaws = gateway.readiness().await.1["ledger_store"].to_string();
    assert!(flaws.contains("is a node of a Cluster"), "{flaws}");
    // Some of the teams live on other nodes.
    for number in 0..20 {
        let call = picture().with(installation.key(["design", "growth"][number % 2]));
        assert!([200, 503].contains(&gateway.send(&call).await.status));
    }
    let failed = gateway.line("the ledger fails");
    assert!(failed.is_none_or(|line| line["outage"].to_string().contains("ledger.redis.cluster")));
}
