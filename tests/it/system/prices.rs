//! The configured prices beside Firemoon's own: what `moongate prices` prints, and what the metric
//! shows.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::caller::Call;
use crate::support::firemoon::Firemoon;
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::redis::wait_until;

/// Exit code, output and complaints of `moongate prices`.
fn prices(installation: &Installation, flags: &[&str]) -> (i32, String, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_moongate"))
        .args(["prices", "--config"])
        .arg(installation.path())
        .args(flags)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (run.status.code().unwrap(), text(run.stdout), text(run.stderr))
}

fn states(json: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(json).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    report["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(&one["model"]), text(&one["state"])))
        .collect()
}

/// Prices of every kind: flux/dev as Firemoon's, the others not; nano-banana and all else have
/// none.
fn installation(firemoon: &Firemoon) -> Installation {
    Installation::before(firemoon)
        .set("/teams/design/models", json!(["flux/*", "kling/*", "nano-banana"]))
        .set("/teams/closed/models", json!([]))
        .set("/pricing/models/flux~1schnell", json!({ "per_image": 0.002 }))
        .set("/pricing/models/flux~1pro", json!({ "per_image": 0.06 }))
        .set("/pricing/models/kling~1kling-2-1-master", json!({ "per_call": 1 }))
        .set("/pricing/models/flux~1gone", json!({ "per_image": 1 }))
}

const STATES: [(&str, &str); 6] = [
    ("flux/dev", "same"),
    ("flux/gone", "unlisted"),
    ("flux/pro", "dearer"),
    ("flux/schnell", "cheaper"),
    ("kling/kling-2-1-master", "other_unit"),
    ("nano-banana", "missing"),
];

#[test]
fn firemoons_catalogue_becomes_a_price_table_and_is_compared() {
    for shape in ["flat", "nested"] {
        let firemoon = Firemoon::start_with(&["--list-shape", shape]);
        let mut installation = installation(&firemoon);
        if shape == "nested" {
            let (code, out, err) = prices(&installation, &[]);
            assert_eq!((code, out.as_str()), (1, ""));
            assert!(err.contains("catalogue.fields"), "it says where prices are configured: {err}");
            installation.change(
                "/catalogue",
                json!({ "fields": { "price": "/billing/amount", "unit": "/billing/for" } }),
            );
        }
        let (code, fragment, _) = prices(&installation, &[]);
        assert_eq!(code, 0);
        assert!(
            fragment.contains(
                "    flux/schnell: { per_image: 0.003 }   # cheaper: configured is \
                 per_image: 0.002\n"
            ),
            "{fragment}"
        );
        assert!(
            fragment.contains("    nano-banana: { per_image: 0.039 }   # missing\n"),
            "{fragment}"
        );
        assert!(
            fragment.contains("    kling/kling-2-1-master: { per_second: 0.28 }   # other_unit"),
            "{fragment}"
        );
        assert!(
            fragment.contains("    # flux/gone: not listed, but configured: per_image: 1\n"),
            "{fragment}"
        );

        let (code, json, _) = prices(&installation, &["--json"]);
        let expected = STATES.map(|(model, state)| (model.to_owned(), state.to_owned()));
        assert_eq!((code, states(&json)), (0, expected.to_vec()));
        let (code, table, err) = prices(&installation, &["--check"]);
        assert_eq!(code, 1);
        assert!(err.contains("5 prices are not as"), "{err}");
        assert!(
            !table.contains("flux/dev ") && table.contains("nano-banana"),
            "only what differs: {table}"
        );

        // What is printed is a configuration, after which nothing differs.
        let mut table: Value = serde_saphyr::from_str(&fragment).unwrap();
        table["pricing"]["models"]["flux/dev"] = json!({ "per_image": 1 });
        installation.change("/pricing/models", table["pricing"]["models"].clone());
        let (_, _, err) = prices(&installation, &["--check"]);
        assert!(err.contains("moongate: 1 price is not as http"), "{err}");
        table["pricing"]["models"]["flux/dev"] = json!({ "per_image": 0.025 });
        installation.change("/pricing/models", table["pricing"]["models"].clone());
        let (code, all_well, _) = prices(&installation, &["--check"]);
        assert_eq!((code, all_well.as_str()), (0, "All 17 prices are as the upstream has them.\n"));
        assert_eq!(states(&prices(&installation, &["--check", "--json"]).1), []);
    }
}

#[test]
fn a_firemoon_that_does_not_answer_is_told_as_such() {
    let installation = Installation::before_url("http://127.0.0.1:9/api");
    let (code, out, err) = prices(&installation, &[]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("http://127.0.0.1:9/api/models: no connection"), "{err}");
}

#[tokio::test]
async fn the_gauge_says_how_prices_stand_after_each_change() {
    let firemoon = Firemoon::start();
    let mut installation = installation(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    let state = |state: &str| format!("moongate_upstream_prices{{state=\"{state}\"}}");
    assert_eq!(gateway.metric(&state("same")).await, None, "the list was not read yet");
    assert_eq!(gateway.send(&Call::get("/api/models")).await.status, 200);
    wait_until("the prices are compared", || async {
        gateway.metric(&state("same")).await.is_some()
    })
    .await;
    for (_, name) in STATES {
        assert_eq!(gateway.metric(&state(name)).await, Some(1.0), "{name}");
    }
    let line = "prices differ from the upstream's catalogue: moongate prices shows them";
    let line = gateway.line_written(line, |_| true).await;
    assert_eq!(
        (&line["cheaper"], &line["missing"]),
        (&json!("flux/schnell"), &json!("nano-banana"))
    );
    // The warning is about nano-banana.
    gateway.lines_written(1, "something in the configuration is probably a mistake").await;
    installation.change("/pricing/models/nano-banana", json!({ "per_image": 0.039 }));
    wait_until("it is compared anew", || async {
        gateway.metric(&state("missing")).await == Some(0.0)
    })
    .await;
    assert_eq!(gateway.metric(&state("same")).await, Some(2.0));
}

/// The warning comes from `check`, at the start and with each reload.
#[tokio::test]
async fn a_usable_model_without_a_price_is_warned_of() {
    let firemoon = Firemoon::start();
    let mut installation = installation(&firemoon);
    let of_banana = "teams.design.models[2]: nano-banana has no price under pricing.models: its \
                     calls are refused";
    let check = |installation: &Installation| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moongate"));
        let ended = command.args(["check", "--config"]).arg(installation.path()).output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "a warning is no error");
        let err = String::from_utf8(ended.stderr).unwrap();
        let (warnings, end) = err.trim_end().rsplit_once('\n').unwrap();
        assert!(end.ends_with("moongate.yaml: OK, with 1 warning"), "{err}");
        warnings.to_owned()
    };
    let err = check(&installation);
    assert!(
        err.starts_with("warning: ")
            && err.lines().count() == 1
            && err.trim_end().ends_with(of_banana),
        "{err}"
    );

    let gateway = Gateway::serve(&installation).await;
    let warned = || {
        let lines = gateway.lines("something in the configuration is probably a mistake");
        assert!(lines.iter().all(|line| line["level"] == "warn"), "{lines:?}");
        lines
            .into_iter()
            .map(|line| line["warning"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    wait_until("it is warned of", || async { !warned().is_empty() }).await;
    assert!(warned().len() == 1 && warned()[0].ends_with(of_banana), "{:?}", warned());
    // Gives the model its price, and another team a model that has none.
    installation.change("/pricing/models/nano-banana", json!({ "per_image": 0.039 }));
    installation.change("/teams/growth/models", json!(["flux/dev", "flux/devv"]));
    let of_devv = "teams.growth.models[1]: flux/devv has no price under pricing.models: its calls \
                   are refused; did you mean flux/dev?";
    wait_until("it is warned of", || async {
        warned().iter().any(|warning| warning.ends_with(of_devv))
    })
    .await;
    assert_eq!(
        warned().iter().filter(|warning| warning.contains("nano-banana")).count(),
        1,
        "it has a price by now"
    );
    let err = check(&installation);
    assert!(err.lines().count() == 1 && err.trim_end().ends_with(of_devv), "{err}");
}

#[tokio::test]
async fn where_the_balance_is_read_the_list_is_read_too() {
    let firemoon = Firemoon::start();
    let installation = installation(&firemoon).set("/upstream/reconcile", json!({ "every": "1s" }));
    let gateway = Gateway::serve(&installation).await;
    let same = "moongate_upstream_prices{state=\"same\"}";
    wait_until("the prices are compared", || async { gateway.metric(same).await == Some(1.0) })
        .await;
}
