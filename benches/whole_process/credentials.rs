//! What the teams show: a gateway key and a token each, made anew for every run.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use moongate::identity::GatewayKey;
use rcgen::KeyPair;
use serde_json::json;

use crate::outcome::Outcome;

/// The issuer of the tokens.
pub const ISSUER: &str = "https://sso.bench.example";
/// Whom the tokens are for.
pub const AUDIENCE: &str = "moongate";

const KID: &str = "bench-2026-11";

/// One team and what it shows.
pub struct Team {
    /// The name.
    pub name: String,
    /// The gateway key.
    pub key: GatewayKey,
    /// The token, RS256, good for an hour.
    pub token: String,
}

/// All teams, and what their tokens are verified with.
pub struct Credentials {
    /// The teams.
    pub teams: Vec<Team>,
    /// The issuer's key set.
    pub key_set: String,
    /// The same key as PEM.
    pub public_pem: String,
}

impl Credentials {
    /// Makes keys and tokens for so many teams.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(teams: usize) -> Outcome<Self> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)?;
        let private = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes())?;
        let mut key = Jwk::from_encoding_key(&private, Algorithm::RS256)?;
        key.common.key_id = Some(KID.to_owned());
        let teams =
            (0..teams.max(1)).map(|number| team(number, &private)).collect::<Outcome<_>>()?;
        let key_set = json!({ "keys": [key] }).to_string();
        Ok(Self { teams, key_set, public_pem: pair.public_key_pem() })
    }
}

fn team(number: usize, private: &EncodingKey) -> Outcome<Team> {
    let name = format!("team-{number}");
    let header = Header { kid: Some(KID.to_owned()), ..Header::new(Algorithm::RS256) };
    let now = jiff::Timestamp::now().as_second();
    // Makes the token as long as those of real issuers: about 700 bytes.
    let claims = json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 3600,
        "sub": format!("user-{number}"),
        "team": name,
        "azp": "image-studio",
        "scope": "openid profile email",
        "email": format!("user-{number}@bench.example"),
        "jti": format!("0b6f2d1c-5e7a-4c39-9d58-{number:012}"),
        "preferred_username": format!("user-{number}"),
    });
    let token = jsonwebtoken::encode(&header, &claims, private)?;
    Ok(Team { name, key: GatewayKey::generate()?, token })
}
