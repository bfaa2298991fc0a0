//! The description of the team listener names every route, every refusal and every header there is,
//! and no other.

use std::collections::BTreeSet;

use http::Method;
use moongate::refusal::Refusal;
use moongate::request::{OPENAPI, Route};
use serde_json::Value;

use crate::support::caller::HEADERS;

fn description() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// Every place in the document that this pointer's last member stands in.
fn all<'a>(value: &'a Value, member: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(member));
            members.values().for_each(|value| all(value, member, found));
        }
        Value::Array(items) => items.iter().for_each(|value| all(value, member, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_route_stands_in_it_with_its_methods() {
    let description = description();
    let paths = description["paths"].as_object().unwrap();
    let described: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    assert_eq!(described, BTreeSet::from(Route::NAMES));
    for (path, item) in paths {
        let example =
            [("{model}", "flux/dev"), ("{id}", "r1"), ("{folder}", "team"), ("{file}", "main.js")]
                .into_iter()
                .fold(path.clone(), |path, (name, value)| path.replace(name, value));
        for method in
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH]
        {
            let routed = match Route::find(&method, &example) {
                Ok(route) => route.name() == path,
                Err(refusal) => {
                    assert!(matches!(refusal, Refusal::MethodNotAllowed { .. }), "{method} {path}");
                    false
                }
            };
            assert_eq!(
                item.get(method.as_str().to_lowercase()).is_some(),
                routed,
                "{method} {path}"
            );
        }
    }
}

#[test]
fn every_refusal_stands_in_it_under_its_status() {
    let description = description();
    let mut described = BTreeSet::new();
    for response in description["components"]["responses"].as_object().unwrap().values() {
        let mut codes = Vec::new();
        all(response, "code", &mut codes);
        described.extend(
            codes
                .iter()
                .flat_map(|code| code["enum"].as_array().unwrap())
                .map(|code| code.as_str().unwrap()),
        );
    }
    let golden = include_str!("../../../src/refusal/golden.txt");
    let codes = golden.split("\"code\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    // What only the operator's API says stands in that one's own description.
    let of_operators = [
        "role_not_allowed",
        "team_not_found",
        "key_not_found",
        "call_not_found",
        "key_conflict",
        "topup_conflict",
    ];
    assert_eq!(described, codes.filter(|code| !of_operators.contains(code)).collect());
}

#[test]
fn every_header_that_leaves_the_gateway_stands_in_it() {
    let description = description();
    let described: BTreeSet<String> = description["components"]["headers"]
        .as_object()
        .unwrap()
        .keys()
        .map(|name| name.to_lowercase())
        .collect();
    // What HTTP itself says of a message is no part of the API.
    let of_http = [
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "transfer-encoding",
        "vary",
    ];
    // What `listen.cors` lets a page of another origin do is between the gateway and the browser.
    let of_browsers = |name: &str| name.starts_with("access-control-");
    let listed: BTreeSet<String> = HEADERS
        .iter()
        .filter(|name| !of_http.contains(name) && !of_browsers(name))
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(described, listed);
}

#[test]
fn every_reference_of_it_leads_somewhere() {
    let description = description();
    let mut references = Vec::new();
    all(&description, "$ref", &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        assert!(description.pointer(pointer).is_some(), "{pointer}");
    }
}
