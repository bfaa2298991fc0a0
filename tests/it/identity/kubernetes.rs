//! The example for Kubernetes, as shipped: a pod with its projected service-account token calls for
//! the team of its namespace; every other token of the cluster is refused.

use std::sync::Arc;

use jiff::Timestamp;
use moongate::clock::Clock;
use moongate::config;
use moongate::identity::{Authenticator, NotObserved, Rejection};
use serde_json::{Value, json};

use crate::support::authenticators::verdict;
use crate::support::tokens::SigningKey;

const EXAMPLE: &str = include_str!("../../../config/examples/kubernetes.yaml");
const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";

/// The authenticator that the example describes, in a cluster whose key is [`SigningKey::rsa`] 0.
fn authenticator() -> Authenticator {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("secrets/firemoon-api-key", "shared-key".to_owned()),
        ("secrets/redis-password", "password".to_owned()),
        ("cluster/jwks.json", json!({ "keys": [published(SigningKey::rsa(0))] }).to_string()),
    ] {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    let text = EXAMPLE.replace("/etc/moongate", &folder.path().display().to_string());
    let settings = config::parse(&text, "kubernetes.yaml", &|_| None)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let live = settings.live;
    Authenticator::new(
        live.identity,
        &live.teams,
        &Arc::default(),
        None,
        Clock::system(),
        Arc::new(NotObserved),
    )
    .unwrap()
}

/// A key as the API server lists it: with `use` and `alg`.
fn published(key: &SigningKey) -> Value {
    let mut jwk = key.jwk();
    jwk["alg"] = json!("RS256");
    jwk
}

/// The claims of a token that the kubelet projects into a pod: bound to the pod, to its node and to
/// the account.
fn claims(namespace: &str, account: &str) -> Value {
    let now = Timestamp::now().as_second();
    json!({
        "aud": ["moongate"],
        "exp": now + 3607,
        "iat": now,
        "iss": CLUSTER,
        "jti": "0b5d2f3e-53a4-4c13-9e27-2e1c6f0f1f7a",
        "kubernetes.io": {
            "namespace": namespace,
            "node": { "name": "node-7", "uid": "5d0a6f6e-8f0c-4d9b-8f0e-6c1f1b7a2c11" },
            "pod": {
                "name": "render-6c9d7f5b4-x2x9k",
                "uid": "8a4c9f6e-1d1f-4f8b-9b53-3a2b5c8f5b0e",
            },
            "serviceaccount": { "name": account, "uid": "e2f9c1de-7d3f-41d2-9d1a-0a4f3b2c5d6e" },
            "warnafter": now + 3607,
        },
        "nbf": now,
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
    })
}

/// The API server names the algorithm and the key, and no type.
fn token(claims: &Value) -> String {
    SigningKey::rsa(0).sign(&json!({ "alg": "RS256", "kid": "rsa-0" }), claims)
}

fn with(pointer: &str, value: Value) -> Value {
    let mut claims = claims("design-prod", "render");
    *claims.pointer_mut(pointer).unwrap() = value;
    claims
}

/// The pod's user is its service account.
#[test]
fn a_pod_speaks_for_its_namespaces_team() {
    let authenticator = authenticator();
    for (namespace, account, speaks_for) in [
        ("design-prod", "render", "design/render"),
        ("design-staging", "default", "design/default"),
        ("growth-prod", "render", "growth/render"),
    ] {
        assert_eq!(
            verdict(&authenticator, &token(&claims(namespace, account))),
            Ok(speaks_for.to_owned())
        );
    }
    let several = with("/aud", json!(["https://kubernetes.default.svc.cluster.local", "moongate"]));
    assert_eq!(verdict(&authenticator, &token(&several)), Ok("design/render".to_owned()));
}

#[test]
fn other_tokens_of_the_cluster_speak_for_nobody() {
    let authenticator = authenticator();
    let now = Timestamp::now().as_second();
    let elsewhere = token(&claims("kube-system", "render"));
    assert_eq!(
        verdict(&authenticator, &elsewhere),
        Err(Rejection::TeamUnknown),
        "a namespace that is no team's"
    );
    let pretended = with("/sub", json!("system:serviceaccount:growth-prod:render"));
    assert_eq!(
        verdict(&authenticator, &token(&pretended)),
        Ok("design/render".to_owned()),
        "the subject names no team"
    );
    for (what, claims) in [
        ("the token for the API server", with("/aud", json!([CLUSTER]))),
        (
            "a namespace that is a list",
            with("/kubernetes.io", json!([{ "namespace": "design-prod" }])),
        ),
        ("an account without a name", with("/kubernetes.io/serviceaccount", json!({}))),
        ("another cluster's", with("/iss", json!("https://kubernetes.other.example"))),
    ] {
        assert!(
            matches!(
                verdict(&authenticator, &token(&claims)),
                Err(Rejection::Invalid | Rejection::TeamUnknown)
            ),
            "{what}"
        );
    }
    let foreign = SigningKey::rsa(1)
        .sign(&json!({ "alg": "RS256", "kid": "rsa-0" }), &claims("design-prod", "render"));
    assert_eq!(verdict(&authenticator, &foreign), Err(Rejection::Invalid), "another cluster's key");
    // A legacy token from a Secret has no audience and never ends.
    let legacy = json!({
        "iss": CLUSTER,
        "kubernetes.io": { "namespace": "design-prod", "serviceaccount": { "name": "render" } },
        "sub": "system:serviceaccount:design-prod:render",
    });
    assert_eq!(verdict(&authenticator, &token(&legacy)), Err(Rejection::Invalid));
    // A token that lives for a year is accepted for two hours, as the example says.
    let mut old = with("/iat", json!(now - 7200 - 31));
    old["exp"] = json!(now + 31_536_000);
    assert_eq!(verdict(&authenticator, &token(&old)), Err(Rejection::Expired));
}
