//! Tests of the faults: how they are selected, and which calls they affect.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_header_names_a_fault_and_its_parameters() {
    let fault = Fault::from_header("slow_headers;45s").unwrap();
    assert_eq!((fault.kind, fault.after()), (Kind::SlowHeaders, Duration::from_secs(45)));
    let fault = Fault::from_header("more_images; 3").unwrap();
    assert_eq!((fault.kind, fault.count(), fault.runs()), (Kind::MoreImages, 3, true));
    let fault = Fault::from_header("reset_before_answer;executed=false;then=close").unwrap();
    assert_eq!((fault.runs(), fault.then()), (false, Then::Close));
    for wrong in [
        "",
        "nonsense",
        "nsfw;later=1s",
        "slow_headers;soon",
        "nsfw;executed=false",
        "answer;12",
        "answer;1000",
    ] {
        assert!(Fault::from_header(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn rules_are_met_in_order_and_used_up() {
    let mut rules = read_rules(
        br#"[{"model":"flux/dev","prompt_contains":"cat","times":2,"fault":"nsfw"},
             {"x_request_id":"r-1","fault":"bad_gateway"},
             {"path":"/api/models","times":1,"fault":"bad_gateway"}]"#,
    )
    .unwrap();
    let cat = Sight {
        path: "/api/v1/flux/dev",
        model: Some("flux/dev"),
        prompt: Some("a cat"),
        request_id: Some("r-1"),
        key: None,
    };
    let kinds: Vec<Kind> = (0..3).map(|_| meet(&mut rules, cat).unwrap().kind).collect();
    assert_eq!(kinds, [Kind::Nsfw, Kind::Nsfw, Kind::BadGateway]);
    assert!(meet(&mut rules, Sight { request_id: Some("r-2"), ..cat }).is_none());
    let models = Sight { path: "/api/models", ..Sight::default() };
    assert!(meet(&mut rules, models).is_some() && meet(&mut rules, models).is_none());
}

#[test]
fn a_wrong_rule_is_named() {
    for (body, part) in [
        ("{}", "JSON array"),
        (r#"[{"fault":"nsfw"},{"fault":"nsfw","tims":3}]"#, "rule 1"),
        (r#"[{"model":"flux/dev"}]"#, "rule 0"),
        (r#"[{"fault":"nsfw","times":-1}]"#, "rule 0"),
    ] {
        assert!(read_rules(body.as_bytes()).unwrap_err().contains(part), "{body}");
    }
}
