//! A team's views name its gateway keys as people call them, and no other team's.

use serde_json::{Value, json};

use crate::support::caller::Call;
use crate::support::firemoon::{Firemoon, picture};
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{make_key, with_operators};
use crate::support::redis::wait_until;

const USAGE: &str = "/gateway/v1/usage";

async fn view(gateway: &Gateway, credential: &str, path: &str) -> Value {
    let reply = gateway.send(&Call::get(path).with(credential)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// The names beside the users of a list, in its order.
fn names(view: &Value, list: &str) -> Vec<Option<String>> {
    let entries = view[list].as_array().unwrap().iter();
    entries.map(|of| of["keyName"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_teams_views_say_what_its_keys_are_called() {
    let firemoon = Firemoon::start();
    let installation = with_operators(Installation::before(&firemoon));
    let gateway = Gateway::serve(&installation).await;
    let wanted = json!({ "team": "design", "name": "<i>night</i> run" });
    let (night, _) = make_key(&gateway, wanted).await;
    let ann = installation.token("ann");
    for credential in [installation.key("design"), &night, &night, &ann] {
        assert_eq!(gateway.send(&picture().with(credential)).await.status, 200);
    }
    let pro = crate::support::caller::generate("flux/pro", &json!({ "prompt": "x" }));
    assert_eq!(gateway.send(&pro.with(&night)).await.status, 403);

    let own = Some("<i>night</i> run".to_owned());
    let (ci, nobody) = (Some("ci".to_owned()), None);
    let usage = view(&gateway, &ann, USAGE).await;
    assert_eq!(names(&usage, "users")[0], own, "it spent the most");
    assert_eq!(usage["users"].as_array().unwrap().len(), 3);
    let history = view(&gateway, &ann, "/api/generations").await;
    assert_eq!(names(&history, "generations"), [nobody.clone(), own.clone(), own.clone(), ci]);
    wait_until("the refused call is listed", || async {
        let refused = view(&gateway, &ann, "/gateway/v1/refusals").await;
        names(&refused, "refusals") == [own.clone()]
    })
    .await;
    let me = view(&gateway, &night, "/gateway/v1/me").await;
    assert_eq!(me["credential"]["name"].as_str(), own.as_deref());
    let token = view(&gateway, &ann, "/gateway/v1/me").await;
    assert_eq!(token["credential"]["name"], Value::Null, "a token has none");
}

/// A key's id may come to another team; what that calls it is its own.
#[tokio::test]
async fn another_teams_name_of_a_key_is_not_shown() {
    let firemoon = Firemoon::start();
    let mut installation = Installation::before(&firemoon);
    let gateway = Gateway::serve(&installation).await;
    assert_eq!(gateway.send(&picture().with(installation.key("design"))).await.status, 200);
    let ann = installation.token("ann");
    let own = Some("ci".to_owned());
    assert_eq!(names(&view(&gateway, &ann, USAGE).await, "users"), [own]);
    let mut keys = installation.value("/identity/keys").clone();
    keys[0]["team"] = json!("growth");
    keys[0]["name"] = json!("secret plan");
    installation.change("/identity/keys", keys);
    wait_until("the key has gone over", || async {
        names(&view(&gateway, &ann, USAGE).await, "users") == [None]
    })
    .await;
    let growth = view(&gateway, installation.key("design"), "/gateway/v1/me").await;
    assert_eq!(
        (&growth["team"], &growth["credential"]["name"]),
        (&json!("growth"), &json!("secret plan"))
    );
}
