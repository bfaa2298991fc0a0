//! Tests with the shapes that a list of models may have, since none is documented.
#![allow(clippy::expect_used)]

use super::*;

fn model(text: &str) -> ModelId {
    ModelId::parse(text).expect("a model")
}

fn listed(body: &str, fields: &Fields) -> Vec<(String, String, &'static str)> {
    let prices = prices(body.as_bytes(), fields, &PriceTable::default());
    prices
        .iter()
        .map(|(id, listed)| (id.to_string(), listed.credits.to_string(), listed.per.key()))
        .collect()
}

#[test]
fn ids_are_found_in_whatever_shape_the_list_has() {
    for list in [
        r#"[{"id":"flux/dev","pricing":{"credits":0.025}},{"id":"nano-banana"}]"#,
        r#"{
            "models": [{"_id": 17, "modelId": "flux/dev"}, {"_id": 18, "modelId": "nano-banana"}],
            "total": 2
        }"#,
        r#"{"data": {"models": [
            {"endpoint": "/api/v1/flux/dev"}, {"endpoint": "/api/v1/nano-banana"}
        ]}}"#,
        r#"{"flux/dev":{"price":1},"nano-banana":{"price":2}}"#,
        r#"["flux/dev","nano-banana"]"#,
        r#"{"image":[{"slug":"flux/dev"}],"video":[{"slug":"nano-banana"}]}"#,
    ] {
        let ids = ids(list.as_bytes(), &Fields::default());
        assert!(
            ids.contains(&model("flux/dev")) && ids.contains(&model("nano-banana")),
            "{list}: {ids:?}"
        );
    }
    let fields = Fields { id: Some("/meta/ref".to_owned()), ..Fields::default() };
    let ids = ids(br#"[{"id":"x","meta":{"ref":"flux/dev"}}]"#, &fields);
    assert!(ids.contains(&model("flux/dev")) && !ids.contains(&model("x")), "{ids:?}");
}

#[test]
fn malformed_lists_have_no_ids_and_huge_ones_are_bounded() {
    for body in
        ["", "null", "{}", "[]", "7", "<html>", r#"{"error":"x"}"#, r#"[{"id":"no id at all"}]"#]
    {
        assert_eq!(ids(body.as_bytes(), &Fields::default()), HashSet::new(), "{body}");
    }
    let many: Vec<String> = (0..ENTRIES_MAX * 2).map(|number| format!("\"a/{number}\"")).collect();
    assert_eq!(
        ids(format!("[{}]", many.join(",")).as_bytes(), &Fields::default()).len(),
        ENTRIES_MAX
    );
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(ids(deep.as_bytes(), &Fields::default()), HashSet::new());
}

#[test]
fn prices_are_found_in_likely_places() {
    for entry in [
        r#"{"id":"flux/dev","pricing":{"credits":0.025,"unit":"image"}}"#,
        r#"{"modelId":"flux/dev","price":"0.025","type":"Image generation"}"#,
        r#"{"slug":"flux/dev","pricing":{"per_image":0.025}}"#,
        r#"{"endpoint":"/v1/flux/dev","cost":0.025,"category":"images"}"#,
        r#"{"id":"663f","model":"flux/dev","pricing":"0.025","unit":"per image"}"#,
    ] {
        let list = format!("{{\"models\":[{entry}]}}");
        assert_eq!(
            listed(&list, &Fields::default()),
            [("flux/dev".to_owned(), "0.025".to_owned(), "per_image")],
            "{entry}"
        );
    }
    let video = r#"{
        "kling/kling-2-1-master": {"price": 0.28, "category": "video"},
        "a": {"price": 1, "per": "request"}
    }"#;
    let expected = [("a", "1", "per_call"), ("kling/kling-2-1-master", "0.28", "per_second")];
    assert_eq!(
        listed(video, &Fields::default()),
        expected.map(|(id, credits, per)| (id.to_owned(), credits.to_owned(), per))
    );
}

#[test]
fn what_does_not_say_all_of_it_has_no_price() {
    for entry in [
        r#"{"id":"flux/dev"}"#,
        r#"{"id":"flux/dev","price":0.025}"#,
        r#"{"id":"flux/dev","price":-1,"unit":"image"}"#,
        r#"{"id":"flux/dev","price":"free","unit":"image"}"#,
        r#"{"price":0.025,"unit":"image"}"#,
        r#"{"_id":1,"pricing":{"credits":0.025,"unit":"image"}}"#,
    ] {
        assert_eq!(listed(&format!("[{entry}]"), &Fields::default()), [], "{entry}");
    }
}

#[test]
fn the_configuration_may_say_where_they_stand() {
    let place = |text: &str| Some(text.to_owned());
    let fields = Fields {
        id: place("/meta/ref"),
        price: place("/billing/eur"),
        unit: place("/billing/for"),
    };
    let entry = r#"{
        "id": "x", "price": 9, "unit": "image",
        "meta": {"ref": "flux/dev"}, "billing": {"eur": "0.02", "for": "call"}
    }"#;
    let expected = [("flux/dev".to_owned(), "0.02".to_owned(), "per_call")];
    assert_eq!(listed(&format!("[{entry}]"), &fields), expected);
}
