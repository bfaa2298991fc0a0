//! Spending as operators query it with `moongate usage`: it adds up to what Firemoon charged, even
//! after replicas were killed.

use std::process::{Command, Output};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::support::caller::generate;
use crate::support::firemoon::{Firemoon, PROMPT, picture, pictures};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::{RedisServer, wait_until};

pub(super) const TOKEN: &str = "a token of the operators, 26 letters";

/// The installation with an operator's token that may look.
pub(super) fn with_operator(installation: Installation) -> Installation {
    let hash: String = Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(installation.folder().join("ops.sha256"), hash).unwrap();
    installation
        .set("/admin/tokens", json!([{ "name": "ops", "sha256": { "file": "ops.sha256" } }]))
}

/// `moongate usage` of a gateway, however it ends.
fn run(gateway: &Gateway, token: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moongate"));
    command.args(["usage", "--admin", &format!("http://{}", gateway.operator())]).args(arguments);
    command.env_remove("MOONGATE_TOKEN").env_remove("MOONGATE_TOKEN_FILE");
    token.map(|token| command.env("MOONGATE_TOKEN", token));
    command.output().unwrap()
}

/// What `moongate usage` prints when all is well.
pub(super) fn usage(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = run(gateway, Some(TOKEN), arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(super) fn usage_json(gateway: &Gateway, arguments: &[&str]) -> Value {
    serde_json::from_str(&usage(gateway, &[arguments, &["--json"]].concat())).unwrap()
}

/// Calls through two gateways, of which one is killed with calls under way. What the report says,
/// in credits, and how many calls are unknown in it; and what Firemoon charged.
async fn report_after_a_kill(on_unknown: &str) -> (String, u64, String) {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    let installation = with_operator(Installation::on(&redis, &firemoon))
        .set("/pricing/on_unknown", json!(on_unknown))
        .set("/ledger/reservation_ttl", json!("2s"));
    let (mut killed, lives) =
        (Gateway::serve(&installation).await, Gateway::serve(&installation).await);
    for (number, team) in ["design", "growth", "design"].into_iter().enumerate() {
        for gateway in [&killed, &lives] {
            let count = number as u64 + 1;
            assert_eq!(
                gateway.send(&pictures(count).with(installation.key(team))).await.status,
                200
            );
        }
    }
    firemoon.hold().await;
    let mut calls = JoinSet::new();
    for team in ["design", "growth", "growth"] {
        let (address, call) = (killed.team().to_owned(), picture().with(installation.key(team)));
        calls.spawn(async move {
            crate::support::caller::Connection::open(&address).await.exchange(&call).await.is_ok()
        });
    }
    firemoon.until_held(3).await;
    killed.kill();
    firemoon.release().await;
    assert_eq!(calls.join_all().await, [false; 3]);
    wait_until("the other gateway has ended what the killed one left", || async {
        usage_json(&lives, &[])["totals"]["unknown"] == 3
    })
    .await;
    let report = usage_json(&lives, &["--period", "month"]);
    assert_eq!(
        report["teams"].as_array().unwrap().len(),
        3,
        "every configured team is in the report"
    );
    let mut rows = 0;
    let mut spent = 0.0;
    for team in ["design", "growth"] {
        let calls = usage(&lives, &["--calls", "--team", team, "--json"]);
        let calls = calls.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        for call in calls {
            rows += 1;
            spent += call["cost"].as_f64().unwrap();
        }
    }
    assert_eq!((rows, report["totals"]["requests"].as_u64().unwrap()), (9, 9));
    assert!((spent - report["totals"]["cost"].as_f64().unwrap()).abs() < 1e-9, "{spent} {report}");
    (
        report["totals"]["cost"].to_string(),
        report["totals"]["unknown"].as_u64().unwrap(),
        firemoon.charged().await,
    )
}

#[tokio::test]
async fn usage_matches_firemoons_charges_after_a_kill() {
    let (reported, unknown, charged) = report_after_a_kill("charge").await;
    assert_eq!((&reported, unknown), (&charged, 3));
}

#[tokio::test]
async fn with_unknown_calls_released_reports_count_and_charge_none() {
    let (reported, unknown, charged) = report_after_a_kill("release").await;
    // Firemoon made the three pictures all the same.
    assert_eq!((reported.as_str(), unknown, charged.as_str()), ("0.3", 3, "0.375"));
}

/// The statement is safe in a spreadsheet.
#[tokio::test]
async fn a_statement_matches_the_ledger_to_the_credit() {
    let firemoon = Firemoon::start();
    let installation = with_operator(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    let odd = "=HYPERLINK(\"http://x\",\"y\"),z";
    for user in ["ann", odd, "ann"] {
        assert_eq!(gateway.send(&picture().with(&installation.token(user))).await.status, 200);
    }
    let video = generate("kling/kling-2-1-master", &json!({ "prompt": PROMPT, "duration": "5" }));
    assert_eq!(gateway.send(&video.with(&installation.token("ann"))).await.status, 200);
    assert_eq!(gateway.send(&picture().with(installation.key("growth"))).await.status, 200);
    let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();

    let statement = usage(&gateway, &["--statement", &month, "--team", "design"]);
    assert!(
        statement.starts_with(&format!("Statement of team design for {month}: {month}-01 to ")),
        "{statement}"
    );
    let lines: Vec<Vec<&str>> =
        statement.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[2][..2], ["USER", "MODEL"]);
    assert_eq!(
        lines.last().map(|line| (line[0], line[1], *line.last().unwrap())),
        Some(("TOTAL", "4", "1.475"))
    );
    assert!(!statement.contains("growth"), "{statement}");
    assert_eq!(gateway.send(&picture().with(installation.key("growth"))).await.status, 200);
    let growth = usage(&gateway, &["--statement", &month, "--team", "growth"]);
    assert!(growth.contains("ci (key:"), "a key is shown by its name: {growth}");
    let csv = usage(&gateway, &["--statement", &month, "--team", "growth", "--csv"]);
    assert!(csv.lines().next().unwrap().ends_with(",keyName"), "{csv}");
    assert!(csv.lines().nth(1).unwrap().ends_with(",ci"), "{csv}");
    let calls = usage(&gateway, &["--calls", "--team", "growth"]);
    assert_eq!(calls.matches(" ci (key:").count(), 2, "call by call too: {calls}");
    let csv = usage(&gateway, &["--calls", "--csv"]);
    assert!(csv.lines().next().unwrap().ends_with(",key,keyName,team"), "{csv}");
    assert_eq!(
        (csv.matches(",ci,growth").count(), csv.matches(",,,design").count()),
        (2, 4),
        "{csv}"
    );
    let json = usage(&gateway, &["--calls", "--team", "growth", "--json"]);
    assert_eq!(json.matches("\"keyName\":\"ci\"").count(), 2, "{json}");
    let json = usage_json(&gateway, &["--statement", &month, "--team", "design"]);
    assert_eq!(
        (json["totals"]["cost"].to_string(), json["rows"].as_array().unwrap().len()),
        ("1.475".to_owned(), 3)
    );

    let csv = usage(&gateway, &["--period", "today", "--by", "user,team", "--csv"]);
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert!(lines[0].starts_with("user,team,requests,completed,"), "{csv}");
    assert!(csv.contains("\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\"),z\",design,1,"), "{csv}");
    let calls = usage(&gateway, &["--calls", "--team", "design", "--csv"]);
    assert_eq!(calls.trim_end().split("\r\n").count(), 5, "{calls}");
    assert!(
        calls.starts_with("id,requestId,day,user,") && calls.contains(",\"'=HYPERLINK("),
        "{calls}"
    );
    assert_eq!(
        usage(&gateway, &["--calls", "--team", "design", "--to", "2020-01-01", "--csv"])
            .lines()
            .count(),
        1
    );
    let by_day = usage_json(&gateway, &["--by", "day,model"]);
    let models: Vec<&Value> =
        by_day["rows"].as_array().unwrap().iter().map(|row| &row["model"]).collect();
    assert_eq!(models, ["flux/dev", "kling/kling-2-1-master"]);
}

/// Lets both teams call, and kills the gateway while a call of growth is open.
async fn spend_and_die(installation: &Installation, firemoon: &Firemoon) {
    let mut gateway = Gateway::serve(installation).await;
    for (team, count) in [("design", 4), ("growth", 2)] {
        assert_eq!(gateway.send(&pictures(count).with(installation.key(team))).await.status, 200);
    }
    firemoon.hold().await;
    let (address, call) = (gateway.team().to_owned(), picture().with(installation.key("growth")));
    let call = tokio::spawn(async move {
        crate::support::caller::Connection::open(&address).await.exchange(&call).await.is_ok()
    });
    firemoon.until_held(1).await;
    gateway.kill();
    firemoon.release().await;
    assert!(!call.await.unwrap());
    drop(gateway);
}

#[tokio::test]
async fn a_removed_team_stays_in_every_report() {
    for on_redis in [false, true] {
        let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
        let installation = if on_redis {
            Installation::on(&redis, &firemoon)
        } else {
            Installation::before(&firemoon)
        };
        let mut installation =
            with_operator(installation).set("/ledger/reservation_ttl", json!("2s"));
        spend_and_die(&installation, &firemoon).await;

        installation.change("/identity/issuers/0/teams", json!({ "grp-design": "design" }));
        installation.change("/identity/keys", json!([]));
        installation.change("/teams", json!({ "design": { "models": ["*"] } }));
        let gateway = Gateway::serve(&installation).await;
        wait_until("what it left open is settled", || async {
            usage_json(&gateway, &[])["totals"]["unknown"] == 1
        })
        .await;
        let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();
        for arguments in [&["--period", "month"][..], &["--statement", &month]] {
            let report = usage_json(&gateway, arguments);
            let teams: Vec<&Value> = report["teams"]
                .as_array()
                .unwrap()
                .iter()
                .map(|covered| &covered["team"])
                .collect();
            assert_eq!(
                teams,
                ["design", "growth"],
                "a team without a call in the period is not listed: {report}"
            );
            assert_eq!(report["totals"]["cost"].to_string(), firemoon.charged().await);
            let rows: Vec<(&Value, String)> = report["rows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| (&row["team"], row["cost"].to_string()))
                .collect();
            assert!(rows.contains(&(&json!("design"), "0.1".to_owned())), "{report}");
        }
        let statement = usage(&gateway, &["--statement", &month]);
        for team in ["design", "growth"] {
            assert!(
                statement.contains(&format!("Statement of team {team} for {month}: ")),
                "{statement}"
            );
        }
        let calls = usage(&gateway, &["--calls"]);
        let lines: Vec<&str> =
            calls.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(lines, ["TEAM", "design", "growth", "growth"], "{calls}");
        let csv = usage(&gateway, &["--calls", "--csv"]);
        let teams: Vec<&str> = csv.lines().map(|line| line.rsplit(',').next().unwrap()).collect();
        assert_eq!(teams, ["team", "design", "growth", "growth"], "{csv}");
        let json = usage(&gateway, &["--calls", "--team", "growth", "--json"]);
        assert_eq!(json.lines().count(), 2, "{json}");
        assert_eq!(
            usage_json(&gateway, &["--team", "growth"])["rows"][0]["cost"].to_string(),
            "0.075"
        );
    }
}

#[tokio::test]
async fn a_report_says_which_rows_gave_way() {
    let (redis, firemoon) = (RedisServer::start().await, Firemoon::start());
    for on_redis in [false, true] {
        let installation = if on_redis {
            Installation::on(&redis, &firemoon)
        } else {
            Installation::before(&firemoon)
        };
        let installation = with_operator(installation).set("/ledger/rows_max", json!(1000));
        let gateway = Gateway::serve(&installation).await;
        let key = installation.key("design");
        assert_eq!(gateway.send(&picture().with(key)).await.status, 200);
        let refused = crate::support::caller::Call::post("/api/v1/flux/dev").with(key);
        let refused = refused.json(&json!({ "prompt": "x", "guidance_scale": 99 }));
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let (call, address) = (refused.clone(), gateway.team().to_owned());
            calls.spawn(async move {
                let mut connection = crate::support::caller::Connection::open(&address).await;
                for _ in 0..50 {
                    assert_eq!(connection.send(&call).await.status, 400);
                }
            });
        }
        calls.join_all().await;
        let output = run(&gateway, Some(TOKEN), &["--calls", "--csv"]);
        let (csv, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(
            (csv.lines().count(), csv.matches(",charged,").count()),
            (1001, 1),
            "the paid one stays"
        );
        assert!(
            err.starts_with("Team design: 1 rows of calls that cost nothing, settled until 2"),
            "{err}"
        );
        assert_eq!(err.lines().count(), 1, "{err}");
        let page =
            crate::support::caller::Call::get("/admin/v1/ledger?team=design&limit=1").with(TOKEN);
        let lost = page.send_uninspected(gateway.operator()).await.json()["lost"][0].clone();
        assert_eq!(
            (&lost["team"], &lost["free"], &lost["paid"]),
            (&json!("design"), &json!(1), &json!(0))
        );
        assert_eq!(lost["paidUntil"], Value::Null);
        let page = crate::support::caller::Call::get("/admin/v1/ledger?team=design&format=csv")
            .with(TOKEN);
        let page = page.send_uninspected(gateway.operator()).await;
        assert_eq!(page.header("x-rows-lost"), Some("1"));
        let covered = usage_json(&gateway, &["--team", "design"])["teams"][0].clone();
        assert_eq!(covered["lostRows"]["free"], 1, "{covered}");
        let view = gateway
            .send(&crate::support::caller::Call::get("/api/generations").with(key))
            .await
            .json();
        assert_eq!((&view["lost"], &view["stats"]["refused"]), (&json!(1), &json!(1000)));
    }
}

#[tokio::test]
async fn a_wrong_question_is_explained_with_its_exit_code() {
    let firemoon = Firemoon::start();
    let installation = with_operator(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    for (token, arguments, code, err) in [
        (None, &[][..], 2, "an operator's token is needed"),
        (Some("wrong"), &[], 1, "credential_invalid"),
        (Some(TOKEN), &["--period", "2026-13"], 2, "period must be today, week, month"),
        (Some(TOKEN), &["--team", "nobody"], 1, "team_not_found"),
        (Some(TOKEN), &["--team", "{x}"], 1, "team_not_found"),
        (Some(TOKEN), &["--by", "colour"], 2, "invalid value 'colour'"),
        (Some(TOKEN), &["--statement", "november"], 2, "period must be"),
        (Some(TOKEN), &["--calls", "--by", "team"], 2, "cannot be used with"),
        (
            Some(TOKEN),
            &["--calls", "--team", "design", "--from", "yesterday"],
            2,
            "from must be a day",
        ),
    ] {
        let output = run(&gateway, token, arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(code) && error.contains(err),
            "{arguments:?}: {error}"
        );
        assert!(output.stdout.is_empty());
    }
}
