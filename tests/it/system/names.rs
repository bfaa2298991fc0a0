//! Names that look like others: unknown names are refused where operators give them, and none can
//! reverse the text of a report.

use moongate::printable::is_plain;
use serde_json::{Value, json};

use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, PROMPT, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{OPS, WATCH, change, moongate, soon, with_operators};

async fn world() -> (Firemoon, Installation, Gateway) {
    let firemoon = Firemoon::start();
    let installation = with_operators(Installation::before(&firemoon))
        .set("/teams/design/user_limits", json!({ "credits_total": "1" }));
    std::fs::write(installation.folder().join("ops-token"), OPS).unwrap();
    let gateway = Gateway::serve(&installation).await;
    (firemoon, installation, gateway)
}

#[tokio::test]
async fn a_name_with_outer_spaces_is_refused_unless_it_exists() {
    let (_firemoon, installation, gateway) = world().await;
    let top_up = json!({ "user": "ann ", "id": "invoice-7", "credits": "2" });
    for (verb, body) in [
        ("suspend", json!({ "user": "ann " })),
        ("resume", json!({ "user": "ann " })),
        ("topup", top_up),
    ] {
        let path = format!("/admin/v1/teams/design/{verb}");
        let refused =
            Call::post(&path).with(OPS).json(&body).send_uninspected(gateway.operator()).await;
        assert_eq!(refused.refusal(), (400, "invalid_body".to_owned()), "{verb}");
        let why = "user: must not begin or end with white space; the team has no user \"ann \"";
        assert_eq!(refused.json()["errors"], json!([why]), "{verb}");
    }
    // A token may name a user with spaces around. Such a user can be suspended, resumed and topped
    // up.
    let token = installation.token("ann ");
    assert_eq!(gateway.send(&picture().with(&token)).await.status, 200);
    change(&gateway, "/admin/v1/teams/design/suspend", json!({ "user": "ann " })).await;
    soon(&gateway, &token, "team_suspended").await;
    change(&gateway, "/admin/v1/teams/design/resume", json!({ "user": "ann " })).await;
    soon(&gateway, &token, "200").await;
    let wanted = json!({ "user": "ann ", "id": "invoice-7", "credits": "0.000002" });
    let topped_up = change(&gateway, "/admin/v1/teams/design/topup", wanted).await;
    assert_eq!(topped_up["max"], 1.000_002);
}

/// The name does not change the direction of a text either.
#[tokio::test]
async fn a_name_reads_the_same_in_every_report() {
    let (_firemoon, installation, gateway) = world().await;
    let name = "ann\u{202e}nimda\u{200b}";
    let reply = gateway.send(&picture().with(&installation.token(name))).await;
    let call = reply.header("x-call-id").unwrap();
    for arguments in [
        &["usage", "--by", "user"][..],
        &["usage", "--by", "user", "--csv"],
        &["usage", "--by", "user", "--json"],
        &["usage", "--calls"],
        &["usage", "--calls", "--csv"],
        &["usage", "--calls", "--json"],
    ] {
        let (code, out, err) = moongate(&gateway, &installation, arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        assert!(!out.contains(['\u{202e}', '\u{200b}']), "{arguments:?}: {out}");
        if arguments.contains(&"--json") {
            let page: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
            let row = page.pointer("/rows/0").unwrap_or(&page);
            assert_eq!(row["user"], name, "{arguments:?}: {out}");
        } else {
            assert!(out.contains("ann\\u{202e}nimda\\u{200b}"), "{arguments:?}: {out}");
        }
        // The id by which the team fetches what became of the call.
        assert!(!arguments.contains(&"--calls") || out.contains(call), "{arguments:?}: {out}");
    }
    let page =
        Call::get("/admin/v1/usage?by=user").with(WATCH).send_uninspected(gateway.operator()).await;
    assert!(page.text().contains("ann\\u202enimda\\u200b"), "{}", page.text());
}

#[tokio::test]
async fn the_teams_own_views_escape_names_that_reverse_text() {
    let (_firemoon, installation, gateway) = world().await;
    let name = "ann\u{202e}nimda\u{200b}";
    let token = installation.token(name);
    let call = gateway.send(&picture().with(&token)).await.header("x-call-id").unwrap().to_owned();
    let quote = Call::post("/gateway/v1/quote/flux/dev").json(&json!({ "prompt": PROMPT }));
    for (view, named_at) in [
        (Call::get("/gateway/v1/me"), Some("/user")),
        (Call::get("/api/generations"), Some("/generations/0/user")),
        (Call::get("/api/usage"), None),
        (Call::get("/api/credits/balance"), None),
        (Call::get("/gateway/v1/requests"), None),
        (Call::get(&format!("/gateway/v1/requests/{call}")), None),
        (quote, None),
    ] {
        let reply = gateway.send(&view.with(&token)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.text().chars().all(is_plain), "{}", reply.text());
        if let Some(pointer) = named_at {
            assert!(reply.text().contains("\"ann\\u202enimda\\u200b\""), "{}", reply.text());
            assert_eq!(reply.json().pointer(pointer), Some(&json!(name)));
        }
    }
}

#[tokio::test]
async fn a_refusal_escapes_what_it_repeats() {
    let (_firemoon, _installation, gateway) = world().await;
    let odd = json!({ "us\u{202e}re": "ann", "id": "invoice-7", "credits": "2" });
    let refused = Call::post("/admin/v1/teams/design/topup").with(OPS).json(&odd);
    let refused = refused.send_uninspected(gateway.operator()).await;
    assert_eq!(refused.refusal(), (400, "invalid_body".to_owned()));
    assert!(
        refused.text().contains("us\\u202ere") && refused.text().chars().all(is_plain),
        "{}",
        refused.text()
    );
}
