//! Tests of key sets: usable keys and rejected sets.
#![allow(clippy::expect_used, clippy::panic)]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;

fn modulus(bits: usize) -> String {
    let mut bytes = vec![0xA5; bits / 8];
    bytes[0] = 0x80;
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa_key() -> Value {
    json!({ "kty": "RSA", "kid": "r", "n": modulus(2048), "e": "AQAB" })
}

fn ec_key() -> Value {
    let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
    json!({ "kty": "EC", "kid": "e", "crv": "P-256", "x": coordinate, "y": coordinate })
}

fn ed_key() -> Value {
    json!({ "kty": "OKP", "kid": "o", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([7; 32]) })
}

fn with(mut key: Value, member: &str, value: Value) -> Value {
    key[member] = value;
    key
}

fn parse(keys: &[Value]) -> Result<KeySet, KeySetError> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
}

fn found(set: &KeySet, kid: Option<&str>, algorithm: Algorithm) -> Option<usize> {
    match set.candidates(kid, algorithm) {
        Candidates::Some(keys) => Some(keys.len()),
        Candidates::Nameless(_) => Some(1),
        Candidates::Unknown => None,
    }
}

#[test]
fn keys_that_fit_are_taken_for_what_they_say() {
    let set = parse(&[
        rsa_key(),
        with(ec_key(), "use", json!("sig")),
        with(ed_key(), "key_ops", json!(["verify"])),
    ])
    .expect("set");
    assert_eq!((set.usable(), set.ignored().0.len()), (3, 0));
    for algorithm in [Algorithm::RS256, Algorithm::RS512, Algorithm::PS384] {
        assert_eq!(found(&set, Some("r"), algorithm), Some(1));
    }
    assert_eq!(found(&set, Some("e"), Algorithm::ES256), Some(1));
    assert_eq!(found(&set, Some("o"), Algorithm::EdDSA), Some(1));
    for (kid, algorithm) in [
        ("r", Algorithm::ES256),
        ("e", Algorithm::ES384),
        ("e", Algorithm::RS256),
        ("o", Algorithm::ES256),
    ] {
        assert_eq!(found(&set, Some(kid), algorithm), Some(0), "{kid} for {algorithm}");
    }
    assert_eq!(found(&set, Some("R"), Algorithm::RS256), None);
}

#[test]
fn a_key_with_an_algorithm_is_for_no_other() {
    let set = parse(&[with(rsa_key(), "alg", json!("PS256"))]).expect("set");
    assert_eq!(found(&set, Some("r"), Algorithm::PS256), Some(1));
    assert_eq!(found(&set, Some("r"), Algorithm::RS256), Some(0));
}

#[test]
fn keys_that_do_not_fit_are_ignored_one_by_one() {
    let short = URL_SAFE_NO_PAD.encode([7; 31]);
    let even = URL_SAFE_NO_PAD.encode([&[0x80][..], &[0xA4; 255]].concat());
    for (why, key) in [
        ("symmetric", json!({ "kty": "oct", "kid": "s", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" })),
        ("symmetric, called RSA", with(rsa_key(), "k", json!("c2VjcmV0"))),
        ("private RSA", with(rsa_key(), "d", json!("AQAB"))),
        ("private RSA, a prime", with(rsa_key(), "p", json!("AQAB"))),
        ("private EC", with(ec_key(), "d", json!("AQAB"))),
        ("private, null", with(ec_key(), "d", Value::Null)),
        ("for encryption", with(rsa_key(), "use", json!("enc"))),
        ("use of the wrong type", with(rsa_key(), "use", json!(["sig"]))),
        ("for signing only", with(rsa_key(), "key_ops", json!(["sign"]))),
        ("operations of the wrong type", with(rsa_key(), "key_ops", json!("verify"))),
        ("1024 bits", with(rsa_key(), "n", json!(modulus(1024)))),
        ("2040 bits", with(rsa_key(), "n", json!(modulus(2040)))),
        (
            "2040 bits and a zero in front",
            with(rsa_key(), "n", json!(format!("AAAA{}", modulus(2040)))),
        ),
        ("16384 bits", with(rsa_key(), "n", json!(modulus(16384)))),
        ("an even modulus", with(rsa_key(), "n", json!(even))),
        ("no modulus", with(rsa_key(), "n", json!(""))),
        ("exponent 1", with(rsa_key(), "e", json!("AQ"))),
        ("exponent 2", with(rsa_key(), "e", json!("Ag"))),
        ("exponent 0", with(rsa_key(), "e", json!("AA"))),
        ("a huge exponent", with(rsa_key(), "e", json!("AQAAAAAAAAAB"))),
        ("an algorithm of another type", with(rsa_key(), "alg", json!("ES256"))),
        ("an algorithm for encryption", with(rsa_key(), "alg", json!("RSA-OAEP"))),
        ("a symmetric algorithm", with(rsa_key(), "alg", json!("HS256"))),
        ("no algorithm", with(rsa_key(), "alg", json!("none"))),
        ("an algorithm of the wrong type", with(rsa_key(), "alg", Value::Null)),
        ("an algorithm of another curve", with(ec_key(), "alg", json!("ES384"))),
        ("a curve of another size", with(ec_key(), "crv", json!("P-384"))),
        ("an unknown curve", with(ec_key(), "crv", json!("secp256k1"))),
        ("P-521", with(ec_key(), "crv", json!("P-521"))),
        ("no curve", with(ec_key(), "crv", Value::Null)),
        ("a short coordinate", with(ec_key(), "y", json!(short))),
        ("no coordinate", with(ec_key(), "y", Value::Null)),
        (
            "padded base64",
            with(ec_key(), "y", json!(format!("{}=", URL_SAFE_NO_PAD.encode([7; 32])))),
        ),
        ("X25519", with(ed_key(), "crv", json!("X25519"))),
        ("Ed448", with(ed_key(), "crv", json!("Ed448"))),
        ("a short Ed25519 key", with(ed_key(), "x", json!(short))),
        ("an unknown type", with(rsa_key(), "kty", json!("AKP"))),
        ("a type in other letters", with(rsa_key(), "kty", json!("rsa"))),
        ("a kid of the wrong type", with(rsa_key(), "kid", json!(1))),
        ("not an object", json!("key")),
    ] {
        let alone = parse(std::slice::from_ref(&key));
        assert!(
            matches!(alone, Err(KeySetError::NoUsableKey(Ignored(ignored))) if ignored.len() == 1),
            "{why}"
        );
        let set = parse(&[key, with(ed_key(), "kid", json!("good"))]).expect(why);
        assert_eq!((set.usable(), set.ignored().0.len()), (1, 1), "{why}");
    }
}

#[test]
fn a_document_that_is_no_key_set_is_not_taken() {
    for text in [
        "",
        "{}",
        "[]",
        "null",
        "<html>",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"keys":[],"keys":[]}"#,
    ] {
        assert_eq!(
            KeySet::parse(text.as_bytes()).map(drop),
            Err(KeySetError::NotAKeySet),
            "{text}"
        );
    }
    assert_eq!(parse(&[]).map(drop), Err(KeySetError::NoUsableKey(Ignored::default())));
    assert_eq!(parse(&vec![rsa_key(); KEYS_MAX + 1]).map(drop), Err(KeySetError::TooManyKeys));
    assert_eq!(KeySet::parse(&vec![b' '; BYTES_MAX + 1]).map(drop), Err(KeySetError::TooLarge));
    assert_eq!(KeySet::parse(&vec![b' '; BYTES_MAX]).map(drop), Err(KeySetError::NotAKeySet));
}

#[test]
fn keys_may_share_a_name_and_few_are_tried() {
    let other = |byte: u8| with(ed_key(), "x", json!(URL_SAFE_NO_PAD.encode([byte; 32])));
    let set =
        parse(&[other(1), other(2), other(1), with(ec_key(), "kid", json!("o"))]).expect("set");
    assert_eq!((set.usable(), set.ignored().0.len()), (3, 1), "the same key twice is one key");
    assert_eq!(found(&set, Some("o"), Algorithm::EdDSA), Some(2));
    assert_eq!(found(&set, Some("o"), Algorithm::ES256), Some(1));
    let many: Vec<Value> = (0..50).map(other).collect();
    assert_eq!(found(&parse(&many).expect("set"), Some("o"), Algorithm::EdDSA), Some(KEYS_TRIED));
}

#[test]
fn a_token_without_a_kid_needs_an_unambiguous_key() {
    let set = parse(&[
        rsa_key(),
        ec_key(),
        with(ed_key(), "kid", json!("1")),
        with(ed_key(), "kid", json!("2")),
    ])
    .expect("set");
    assert_eq!(found(&set, None, Algorithm::ES256), Some(1));
    assert_eq!(found(&set, None, Algorithm::EdDSA), Some(0));
    assert_eq!(found(&set, None, Algorithm::ES384), None);
    let mut nameless = ec_key();
    nameless.as_object_mut().expect("object").remove("kid");
    let set = parse(&[nameless]).expect("set");
    assert_eq!(found(&set, None, Algorithm::ES256), Some(1));
}

#[test]
fn a_sole_key_without_a_kid_serves_any_token() {
    let nameless = |mut key: Value| {
        key.as_object_mut().expect("object").remove("kid");
        key
    };
    let set = parse(&[nameless(ec_key()), rsa_key(), nameless(ed_key())]).expect("set");
    assert_eq!(found(&set, Some("any"), Algorithm::ES256), Some(1));
    assert_eq!(found(&set, Some("any"), Algorithm::EdDSA), Some(1));
    assert_eq!(found(&set, Some("any"), Algorithm::ES384), None, "another curve");
    assert_eq!(found(&set, Some("any"), Algorithm::RS256), None, "that key has a name of its own");
    let other = with(ed_key(), "x", json!(URL_SAFE_NO_PAD.encode([8; 32])));
    let set = parse(&[nameless(ed_key()), other]).expect("set");
    assert_eq!(found(&set, Some("any"), Algorithm::EdDSA), None, "there are two of its type");
    assert_eq!(found(&set, Some("o"), Algorithm::EdDSA), Some(1), "a name that is there counts");
}

/// A key that is left out says why.
#[test]
fn a_key_may_name_its_algorithm_by_the_curve() {
    let set = parse(&[with(ed_key(), "alg", json!("Ed25519"))]).expect("set");
    assert_eq!(found(&set, Some("o"), Algorithm::EdDSA), Some(1));
    let keys = [
        ed_key(),
        with(rsa_key(), "use", json!("enc")),
        with(with(ed_key(), "kid", json!("w\u{202e}")), "alg", json!("Ed448")),
        ed_key(),
        json!({ "kty": "oct", "k": "c2VjcmV0" }),
    ];
    let ignored = parse(&keys).expect("set").ignored().to_string();
    assert_eq!(
        ignored,
        "\"r\": its use or key_ops says that it does not check signatures; \"w\\u{202e}\": its \
         alg is none that is accepted, or none for its kty and crv; \"o\": it is listed before; \
         one without a kid: it shows a private part, or is symmetric"
    );
    let many: Vec<Value> = (0..12).map(|_| with(rsa_key(), "use", json!("enc"))).collect();
    assert!(parse(&many).expect_err("none").to_string().ends_with("; and 4 more"));
}

#[test]
fn a_set_is_the_same_in_any_order() {
    let (one, two) = (parse(&[rsa_key(), ec_key()]), parse(&[ec_key(), rsa_key()]));
    let (one, two) = (one.expect("set"), two.expect("set"));
    assert!(one.has_the_keys_of(&two) && two.has_the_keys_of(&one));
    for changed in [
        vec![rsa_key()],
        vec![rsa_key(), ec_key(), ed_key()],
        vec![rsa_key(), with(ec_key(), "kid", json!("f"))],
        vec![with(rsa_key(), "alg", json!("RS256")), ec_key()],
        vec![with(rsa_key(), "e", json!("AQAD")), ec_key()],
    ] {
        let changed = parse(&changed).expect("set");
        assert!(!one.has_the_keys_of(&changed) && !changed.has_the_keys_of(&one));
    }
}
