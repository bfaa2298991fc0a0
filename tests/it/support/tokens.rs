//! Makes tokens, good and bad, with keys that are generated when the tests run.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, SignatureAlgorithm};
use serde_json::{Value, json};

/// A private key, what it signs with, and the name its public part has in a key set.
pub struct SigningKey {
    pub kid: String,
    pub algorithm: Algorithm,
    private: EncodingKey,
    public: Vec<u8>,
    /// The public part as PEM, for attacks that take it for a secret.
    pub public_pem: String,
}

impl SigningKey {
    /// A new key for ES256.
    pub fn ec(kid: &str) -> Self {
        Self::new(kid, Algorithm::ES256, &rcgen::PKCS_ECDSA_P256_SHA256, EncodingKey::from_ec_pem)
    }

    /// A new key for ES384.
    pub fn ec384(kid: &str) -> Self {
        Self::new(kid, Algorithm::ES384, &rcgen::PKCS_ECDSA_P384_SHA384, EncodingKey::from_ec_pem)
    }

    /// A new key for EdDSA.
    pub fn ed(kid: &str) -> Self {
        Self::new(kid, Algorithm::EdDSA, &rcgen::PKCS_ED25519, EncodingKey::from_ed_pem)
    }

    /// One of two keys for RS256, the same ones in the whole run: they take long to make.
    pub fn rsa(which: usize) -> &'static Self {
        static KEYS: OnceLock<[SigningKey; 2]> = OnceLock::new();
        let new = |kid| {
            SigningKey::new(
                kid,
                Algorithm::RS256,
                &rcgen::PKCS_RSA_SHA256,
                EncodingKey::from_rsa_pem,
            )
        };
        &KEYS.get_or_init(|| [new("rsa-0"), new("rsa-1")])[which]
    }

    fn new(
        kid: &str,
        algorithm: Algorithm,
        kind: &'static SignatureAlgorithm,
        private: impl Fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>,
    ) -> Self {
        let pair = KeyPair::generate_for(kind).expect("key");
        let private = private(pair.serialize_pem().as_bytes()).expect("private key");
        let public = pair.public_key_raw().to_vec();
        Self { kid: kid.to_owned(), algorithm, private, public, public_pem: pair.public_key_pem() }
    }

    /// The public part, as a key set lists it.
    pub fn jwk(&self) -> Value {
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        // A point is written as 4, x, y (SEC 1, section 2.3.3).
        let (x, y) = self.public[1..].split_at(self.public.len() / 2);
        #[allow(clippy::wildcard_enum_match_arm)] // all the others are RSA's
        let mut jwk = match self.algorithm {
            Algorithm::ES256 => {
                json!({ "kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y) })
            }
            Algorithm::ES384 => {
                json!({ "kty": "EC", "crv": "P-384", "x": encoded(x), "y": encoded(y) })
            }
            Algorithm::EdDSA => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(&self.public) })
            }
            _ => {
                let jwk = Jwk::from_encoding_key(&self.private, self.algorithm).expect("jwk");
                serde_json::to_value(jwk).expect("json")
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The header of a plain token of this key.
    pub fn header(&self) -> Value {
        json!({ "alg": format!("{:?}", self.algorithm), "kid": self.kid, "typ": "JWT" })
    }

    /// A token with the plain header.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }

    /// A token with any header.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// A token with any header and payload, JSON or not.
    pub fn sign_text(&self, header: &str, payload: &str) -> String {
        sign_with(header, payload, &self.private, self.algorithm)
    }

    /// The same key signing another way, for instance PS256 with a key for RS256.
    pub fn sign_as(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
        sign_with(&header.to_string(), &claims.to_string(), &self.private, algorithm)
    }
}

/// A token whose signature is an HMAC with any bytes as the secret.
pub fn hmac(secret: &[u8], header: &Value, claims: &Value) -> String {
    sign_with(
        &header.to_string(),
        &claims.to_string(),
        &EncodingKey::from_secret(secret),
        Algorithm::HS256,
    )
}

/// Three parts, encoded and joined, nothing signed.
pub fn join(header: &str, payload: &str, signature: &[u8]) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!("{}.{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()), encode(signature))
}

/// A key set of these keys.
pub fn key_set(keys: &[&SigningKey]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

fn sign_with(header: &str, payload: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).expect("signature");
    format!("{message}.{signature}")
}
