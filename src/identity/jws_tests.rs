//! Wycheproof vectors: none that they call bad is accepted, and every good one that is refused has
//! a reason here.
#![allow(clippy::expect_used)]

use super::*;

const VECTORS: [(&str, &str); 3] = [
    ("signature", include_str!("../../tests/vectors/wycheproof/json_web_signature_test.json")),
    ("key", include_str!("../../tests/vectors/wycheproof/json_web_key_test.json")),
    ("crypto", include_str!("../../tests/vectors/wycheproof/json_web_crypto_test.json")),
];

/// Good vectors that are refused: their feature, and why.
const REFUSED: [(&str, &str); 3] = [
    ("oct", "the key is symmetric: whoever can check such a token can also make one"),
    ("P-521", "ES512 is no algorithm that an issuer can be given"),
    (
        "PS256 says PS384",
        "the key says that it is for PS256 alone, and the token is signed with PS384",
    ),
];

/// A vector: file and number, comment, keys, token, and whether it is good.
struct Vector {
    name: String,
    keys: Value,
    token: String,
    good: bool,
}

fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for (file, text) in VECTORS {
        let read: Value = serde_json::from_str(text).expect("vectors");
        for group in read["testGroups"].as_array().expect("groups") {
            // Verifiers have the public keys; a symmetric key has no public part.
            let keys = group.get("public").or_else(|| group.get("private")).expect("keys");
            let keys = if keys.get("keys").is_some() {
                keys.clone()
            } else {
                serde_json::json!({ "keys": [keys] })
            };
            for test in group["tests"].as_array().expect("tests") {
                let token = test.get("jws").or_else(|| test.get("jwe")).expect("a token");
                // Some are in JSON serialization.
                let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
                // An encrypted token is never one of ours.
                let good = test["result"] != "invalid" && test.get("jws").is_some();
                let name = format!("{file} {} {}", test["tcId"], test["comment"]);
                all.push(Vector { name, keys: keys.clone(), token, good });
            }
        }
    }
    all
}

fn accepted(vector: &Vector) -> bool {
    let Ok(keys) = KeySet::parse(vector.keys.to_string().as_bytes()) else { return false };
    Jws::read(&vector.token).is_ok_and(|jws| matches!(jws.signed_by(&keys), Signed::By(_)))
}

/// The row of [`REFUSED`] for a vector.
fn reason(vector: &Vector) -> Option<&'static str> {
    let keys = vector.keys["keys"].as_array().expect("keys");
    let all = |member: &str, value: &str| keys.iter().all(|key| key[member] == value);
    let header =
        vector.token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let says = |alg: &str| {
        header.as_deref().and_then(strict::object).is_some_and(|header| header["alg"] == alg)
    };
    let row = match () {
        () if all("kty", "oct") => "oct",
        () if all("crv", "P-521") => "P-521",
        () if all("alg", "PS256") && says("PS384") => "PS256 says PS384",
        () => return None,
    };
    REFUSED.iter().find(|(name, _)| *name == row).map(|(_, why)| *why)
}

#[test]
fn no_bad_vector_is_accepted() {
    let bad: Vec<Vector> = vectors().into_iter().filter(|vector| !vector.good).collect();
    assert!(bad.len() > 300, "{}", bad.len());
    let wrong: Vec<&str> =
        bad.iter().filter(|vector| accepted(vector)).map(|vector| vector.name.as_str()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn good_vectors_are_accepted_or_refused_for_a_listed_reason() {
    let (mut taken, mut wrong) = (0, Vec::new());
    for vector in vectors().iter().filter(|vector| vector.good) {
        match (accepted(vector), reason(vector)) {
            (true, None) => taken += 1,
            (false, Some(_)) => {}
            (accepted, reason) => {
                wrong.push(format!("{}: accepted {accepted}, reason {reason:?}", vector.name))
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(taken > 30, "{taken}");
}
