//! A table of tokens that must be refused.

use jsonwebtoken::Algorithm as Jws;
use moongate::identity::{Authenticator, Rejection};
use serde_json::{Value, json};

use crate::support::authenticators::{
    ISSUER, NOW, World, claims_with, good_claims, verdict, world,
};
use crate::support::tokens::{SigningKey, hmac, join};

#[test]
fn a_token_whose_signature_proves_nothing_is_refused() {
    let World { rsa, ec, ed, authenticator, .. } = &world();
    let claims = good_claims();
    let (foreign, foreign_384) = (SigningKey::ec("ec-0"), SigningKey::ec384("ec-0"));
    let good = ec.token(&claims);
    let (unsigned, signature) = good.rsplit_once('.').expect("parts");
    let mut attacks: Vec<(String, String)> = Vec::new();
    let mut attack = |name: &str, token: String| attacks.push((name.to_owned(), token));
    for none in ["none", "None", "NONE", "nOnE", "", "null"] {
        let header = json!({ "alg": none, "kid": "ec-0", "typ": "JWT" }).to_string();
        attack("no algorithm, no signature", join(&header, &claims.to_string(), b""));
        attack("no algorithm, with a signature", ec.sign_text(&header, &claims.to_string()));
    }
    let hs = |kid: &str| json!({ "alg": "HS256", "kid": kid, "typ": "JWT" });
    attack("HMAC with the public PEM", hmac(rsa.public_pem.as_bytes(), &hs("rsa-0"), &claims));
    attack(
        "HMAC with the public PEM, trimmed",
        hmac(rsa.public_pem.trim().as_bytes(), &hs("rsa-0"), &claims),
    );
    attack("HMAC with the JWK", hmac(rsa.jwk().to_string().as_bytes(), &hs("rsa-0"), &claims));
    attack(
        "HMAC with the modulus",
        hmac(rsa.jwk()["n"].as_str().expect("n").as_bytes(), &hs("rsa-0"), &claims),
    );
    attack("HMAC with nothing", hmac(b"", &hs("rsa-0"), &claims));
    attack("HMAC that says RS256", hmac(rsa.public_pem.as_bytes(), &rsa.header(), &claims));
    attack("a foreign key under a known kid", foreign.token(&claims));
    attack("a foreign RSA key under a known kid", SigningKey::rsa(1).sign(&rsa.header(), &claims));
    attack("another curve under a known kid", foreign_384.token(&claims));
    attack("another curve that says ES256", foreign_384.sign(&ec.header(), &claims));
    attack("an EC key for an RSA kid", ec.sign(&rsa.header(), &claims));
    attack("an RSA key for an EC kid", rsa.sign(&ec.header(), &claims));
    attack("an Ed25519 key for an EC kid", ed.sign(&ec.header(), &claims));
    attack("ES256 with an RSA kid", ec.sign(&json!({ "alg": "ES256", "kid": "rsa-0" }), &claims));
    attack("RS256 with an EC kid", rsa.sign(&json!({ "alg": "RS256", "kid": "ec-0" }), &claims));
    for (algorithm, name) in [(Jws::PS256, "PS256"), (Jws::RS384, "RS384"), (Jws::RS512, "RS512")] {
        let header = json!({ "alg": name, "kid": "rsa-0" });
        attack("an algorithm the issuer does not use", rsa.sign_as(algorithm, &header, &claims));
        attack("signed otherwise than it says", rsa.sign_as(algorithm, &rsa.header(), &claims));
    }
    attack("no signature", format!("{unsigned}."));
    attack("a signature of zeros", join(&ec.header().to_string(), &claims.to_string(), &[0; 64]));
    attack(
        "an RSA signature of zeros",
        join(&rsa.header().to_string(), &claims.to_string(), &[0; 256]),
    );
    attack("a short signature", format!("{unsigned}.{}", &signature[..20]));
    attack("a longer signature", format!("{good}AAAA"));
    attack("another token's signature", {
        let other = ec.token(&claims_with(json!({ "sub": "bob" })));
        format!("{unsigned}.{}", other.rsplit_once('.').expect("parts").1)
    });
    attack("other claims under a good signature", {
        let other = ec.token(&claims_with(json!({ "groups": ["grp-growth"] })));
        format!("{}.{signature}", other.rsplit_once('.').expect("parts").0)
    });
    assert_refused(authenticator, &attacks);
    assert_eq!(
        verdict(authenticator, &good),
        Ok("design/ann".to_owned()),
        "and the good one is still accepted"
    );
}

#[test]
fn a_key_that_a_token_brings_along_is_never_used() {
    let World { ec, authenticator, .. } = &world();
    let thief = SigningKey::ec("ec-0");
    let mut attacks = Vec::new();
    for (member, value) in [
        ("jwk", thief.jwk()),
        ("jku", json!("http://127.0.0.1:9/jwks")),
        ("x5u", json!("http://127.0.0.1:9/cert")),
        ("x5c", json!([thief.public_pem])),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("ec-0' OR '1'='1")),
        ("kid", json!("")),
        ("kid", json!("ec-0\u{0}")),
        ("kid", json!(0)),
        ("kid", json!(["ec-0"])),
        ("kid", Value::Null),
    ] {
        let mut header = ec.header();
        header[member] = value;
        attacks.push((header.to_string(), thief.sign(&header, &good_claims())));
    }
    assert_refused(authenticator, &attacks);
}

#[test]
fn a_malformed_jwt_header_is_refused_despite_a_good_signature() {
    let World { ec, authenticator, .. } = &world();
    let mut attacks = Vec::new();
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", Value::Null),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("JWE")),
        ("typ", json!("")),
        ("typ", json!(["JWT"])),
        ("alg", json!(["ES256"])),
        ("alg", json!("es256")),
        ("alg", Value::Null),
        ("kid", json!("unknown")),
    ] {
        let mut header = ec.header();
        header[member] = value;
        attacks.push((header.to_string(), ec.sign(&header, &good_claims())));
    }
    let claims = good_claims().to_string();
    for header in [
        r#"{"alg":"ES256","kid":"ec-0","kid":"ec-0"}"#,
        r#"{"alg":"none","alg":"ES256","kid":"ec-0"}"#,
        r#"{"alg":"ES256","kid":"ec-0","x":{"a":1,"a":2}}"#,
        r#"{"kid":"ec-0"}"#,
        r#"{"alg":"ES256"}"#.trim_end_matches('}'),
        "{}",
        "[]",
        "null",
        "",
        r#""ES256""#,
        "{\"alg\":\"ES256\",\"kid\":\"ec-0\"} {}",
    ] {
        attacks.push((header.to_owned(), ec.sign_text(header, &claims)));
    }
    assert_refused(authenticator, &attacks);
}

#[test]
fn claims_that_are_missing_mistyped_or_for_others_are_refused() {
    let World { ec, authenticator, .. } = &world();
    let mut attacks = Vec::new();
    for changes in [
        json!({ "exp": null }),
        json!({ "exp": (NOW + 60).to_string() }),
        json!({ "exp": [NOW + 60] }),
        json!({ "exp": -1 }),
        json!({ "exp": 1e300 }),
        json!({ "exp": true }),
        json!({ "nbf": NOW + 31 }),
        json!({ "nbf": "0" }),
        json!({ "iat": NOW + 31 }),
        json!({ "iat": "now" }),
        json!({ "iss": null }),
        json!({ "iss": [ISSUER] }),
        json!({ "iss": format!("{ISSUER}/") }),
        json!({ "iss": "https://evil.example.com" }),
        json!({ "iss": ISSUER.to_uppercase() }),
        json!({ "iss": { "url": ISSUER } }),
        json!({ "aud": null }),
        json!({ "aud": "other" }),
        json!({ "aud": "" }),
        json!({ "aud": [] }),
        json!({ "aud": ["other"] }),
        json!({ "aud": ["moongate", 1] }),
        json!({ "aud": { "moongate": true } }),
        json!({ "aud": "moongate other" }),
        json!({ "sub": null }),
        json!({ "sub": 7 }),
        json!({ "sub": "" }),
        json!({ "sub": ["ann"] }),
        json!({ "sub": "ann\nteam=growth" }),
        json!({ "sub": "a".repeat(257) }),
        json!({ "sub": "key:k7Qp2mZr9aBc" }),
    ] {
        attacks.push((changes.to_string(), ec.token(&claims_with(changes))));
    }
    let header = ec.header().to_string();
    let good = good_claims().to_string();
    let nested = ec.token(&good_claims());
    for payload in [
        format!(r#"{{"exp":1,{}"#, &good[1..]),
        format!(r#"{{"groups":["grp-growth"],{}"#, &good[1..]),
        format!("[{good}]"),
        format!("{good}x"),
        format!("\"{nested}\""),
        nested,
        "null".to_owned(),
        String::new(),
    ] {
        attacks.push((payload.clone(), ec.sign_text(&header, &payload)));
    }
    assert_refused(authenticator, &attacks);
}

#[test]
fn text_that_is_not_exactly_a_token_is_refused() {
    let World { ec, authenticator, .. } = &world();
    let good = ec.token(&good_claims());
    let parts: Vec<&str> = good.split('.').collect();
    let attacks: Vec<(String, String)> = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "a".to_owned(),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}="),
        format!("{}==.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}==", parts[0], parts[1], parts[2]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.{}.{}", parts[0], parts[1]),
        format!("{good}.{good}"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("Bearer {good}"),
        good.replacen('.', ". ", 1),
        good.replace('.', "\n."),
        format!("{}+/.{}.{}", parts[0], parts[1], parts[2]),
        "a".repeat(100_000),
        format!("{}.{}.{}", "a".repeat(100_000), parts[1], parts[2]),
        format!("é{good}"),
        json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] }).to_string(),
    ]
    .into_iter()
    .map(|text| (text.chars().take(80).collect(), text))
    .collect();
    assert_refused(authenticator, &attacks);
}

/// Each is refused as invalid, twice, and none of them is remembered.
fn assert_refused(authenticator: &Authenticator, attacks: &[(String, String)]) {
    let before = authenticator.remembered_tokens();
    for (name, token) in attacks {
        for _ in 0..2 {
            assert_eq!(
                verdict(authenticator, token),
                Err(Rejection::Invalid),
                "{name}: {token:.200}"
            );
        }
    }
    assert_eq!(authenticator.remembered_tokens(), before);
}
