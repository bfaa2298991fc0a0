//! A real Prometheus scrapes a real gateway under traffic, and every question of the dashboard has an answer.

use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::books::wide_limits;
use crate::support::caller::{Call, generate};
use crate::support::firemoon::{Firemoon, PROMPT, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, free_port, wait_until};

/// A Prometheus that scrapes one gateway every second; it ends with the value.
struct Prometheus {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Prometheus {
    async fn watching(operator: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = std::path::absolute("deploy/prometheus/rules.yaml").unwrap();
        let scrape = std::fs::read_to_string("tests/deploy/scrape.yaml").unwrap();
        let scrape = scrape.replace("\"TARGET\"", &format!("\"{operator}\"")).replace("RULES", rules.to_str().unwrap());
        let file = folder.path().join("prometheus.yaml");
        std::fs::write(&file, scrape).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("Prometheus answers", || async { tokio::net::TcpStream::connect(&address).await.is_ok() }).await;
        Self { child, address, _folder: folder }
    }

    /// What the script that knows the dashboard says.
    fn check_dashboard(&self) -> std::process::Output {
        let script = "tests/deploy/dashboard_check.py";
        let url = format!("http://{}", self.address);
        Command::new("python3").args([script, "--wait", "90", "--prometheus", &url]).output().unwrap()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything a dashboard has a panel for: successes, failures, refusals of every source, credentials good and bad.
fn calls(installation: &Installation) -> Vec<Call> {
    let (design, growth) = (installation.key("design"), installation.key("growth"));
    let video = json!({ "prompt": PROMPT, "duration": "5" });
    vec![
        picture().with(design),
        picture().with(&installation.token("ann")),
        generate("kling/kling-2-1-master", &video).with(design),
        generate("flux/schnell", &json!({ "prompt": "a failing lighthouse" })).with(design),
        picture().with(growth),
        picture().with(growth),
        picture(),
        picture().with("mgk_wrong"),
        Call::post("/api/v1/flux/dev").with(design).text("[]"),
        generate("flux/pro", &json!({ "prompt": PROMPT })).with(design),
        Call::get("/gateway/v1/me").with(design),
        Call::get("/api/models"),
        Call::get("/nowhere"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_of_the_dashboard_is_answered_by_a_gateway_under_traffic() {
    let redis = RedisServer::start().await;
    let firemoon = Firemoon::start();
    // With a limit, Firemoon says how much of it is left. The money lasts as long as the traffic.
    firemoon.change_key(&json!({ "requests_per_minute": 1_000_000, "balance": 100_000_000 })).await;
    firemoon.faults(&json!([{ "prompt_contains": "failing", "fault": "generation_failed" }])).await;
    let mut limits = wide_limits();
    for budget in ["credits_per_day", "credits_per_month", "credits_total"] {
        limits[budget] = json!(100_000_000);
    }
    limits["requests_per_second"] = json!({ "limit": 1, "shadow": true });
    let installation = Installation::on(&redis, &firemoon)
        .set("/upstream/limits", json!({ "requests_per_month": 1_000_000 }))
        .set("/ledger/reservation_ttl", json!("3s"))
        .set("/teams/design/limits", limits)
        .set("/teams/growth/limits", json!({ "requests_per_minute": 1, "credits_per_day": 1 }));
    let gateway = Gateway::serve(&installation).await;
    let prometheus = Prometheus::watching(gateway.operator()).await;

    let (calls, team) = (calls(&installation), gateway.team().to_owned());
    let traffic = tokio::spawn(async move {
        for call in calls.iter().cycle() {
            call.send(&team).await;
        }
    });
    let checked = tokio::task::spawn_blocking(move || prometheus.check_dashboard()).await.unwrap();
    traffic.abort();
    let said = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}
