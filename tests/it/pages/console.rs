//! The console on the operator's listener: all its files, with strict headers; not served while no
//! operators are configured.

use http::Method;
use serde_json::json;

use crate::support::caller::{Call, Reply};
use crate::support::firemoon::Firemoon;
use crate::support::gateway::Gateway;
use crate::support::installation::Installation;
use crate::support::operator::{OPS, WATCH, with_operators};

async fn gateway() -> (Gateway, Firemoon) {
    let firemoon = Firemoon::start();
    let installation = with_operators(Installation::before(&firemoon));
    (Gateway::serve(&installation).await, firemoon)
}

async fn send(gateway: &Gateway, call: Call) -> Reply {
    call.send(gateway.operator()).await
}

/// Every file of the console by the path it is served under, with its text.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["console", "shared", "vendor"] {
        for entry in std::fs::read_dir(format!("src/pages/{folder}")).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let is_step = file.starts_with("vendor.") || file == "SHA256SUMS";
            if is_step || file == "index.html" {
                continue;
            }
            let text = std::fs::read_to_string(format!("src/pages/{folder}/{file}")).unwrap();
            found.push((format!("/console/{folder}/{file}"), text));
        }
    }
    let index = std::fs::read_to_string("src/pages/console/index.html").unwrap();
    found.push(("/console".to_owned(), index));
    found
}

#[tokio::test]
async fn every_file_of_the_console_comes_with_strict_headers() {
    let (gateway, _firemoon) = gateway().await;
    for (path, text) in files() {
        let reply = send(&gateway, Call::get(&path)).await;
        assert_eq!((reply.status, reply.text()), (200, text.as_str()), "{path}");
        let header = |name| reply.header(name).unwrap_or_else(|| panic!("{path} has no {name}"));
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|found| found == part), "{path}: {part} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert!(reply.header("x-request-id").is_some());
        let is_kept = path.contains("/vendor/") && path.contains(|c: char| c.is_ascii_digit());
        let expected = if is_kept { "public, max-age=31536000, immutable" } else { "no-cache" };
        assert_eq!(header("cache-control"), expected, "{path}");
        let etag = header("etag").to_owned();
        let again = send(&gateway, Call::get(&path).header("if-none-match", &etag)).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
}

#[tokio::test]
async fn other_methods_files_and_hosts_get_no_console() {
    let (gateway, _firemoon) = gateway().await;
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let wrong = send(&gateway, Call::new(method, "/console")).await;
        assert_eq!(wrong.refusal(), (405, "method_not_allowed".to_owned()));
        assert_eq!(wrong.header("allow"), Some("GET, HEAD"));
    }
    for path in
        ["/console/", "/console/console/index.html", "/console/team/main.js", "/consoles", "/"]
    {
        let missing = send(&gateway, Call::get(path)).await;
        assert_eq!(missing.refusal(), (404, "route_not_found".to_owned()), "{path}");
    }
    let rebound = send(&gateway, Call::get("/console").header("host", "evil.example")).await;
    assert_eq!(rebound.refusal(), (400, "invalid_request".to_owned()));
    assert_eq!(
        gateway.send(&Call::get("/console")).await.status,
        404,
        "the team listener does not serve it either"
    );
}

#[tokio::test]
async fn without_operators_there_is_no_console() {
    let firemoon = Firemoon::start();
    let gateway = Gateway::serve(&Installation::before(&firemoon)).await;
    for path in ["/console", "/console/console/main.js"] {
        let missing = send(&gateway, Call::get(path)).await;
        assert_eq!(missing.refusal(), (404, "route_not_found".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_token_learns_whose_it_is_and_its_role() {
    let (gateway, _firemoon) = gateway().await;
    for (token, expected) in [
        (OPS, json!({ "name": "ops", "role": "write" })),
        (WATCH, json!({ "name": "watch", "role": "read" })),
    ] {
        let reply = send(&gateway, Call::get("/admin/v1/whoami").with(token)).await;
        assert_eq!((reply.status, reply.json()), (200, expected));
    }
    let nobody = send(&gateway, Call::get("/admin/v1/whoami").with("nobody")).await;
    assert_eq!(nobody.refusal(), (401, "credential_invalid".to_owned()));
}
