//! What judging one token costs: verified here, verified in the pool beside the workers, and
//! cached.
//!
//! `README.md` beside this folder says what the figures decided.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm as Jws, EncodingKey, Header};
use moongate::clock::Clock;
use moongate::identity::settings::{Algorithm, ClaimPath, IssuerSettings, KeySource};
use moongate::identity::{Authenticator, CredentialGuard, NotObserved, Settings};
use moongate::request::TrustedProxies;
use moongate::team::{State, Team, TeamId};
use rcgen::{KeyPair, RsaKeySize};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

const ISSUER: &str = "https://sso.bench.example";
/// Tokens of each kind; each is verified once and cached once.
const TOKENS: usize = 1000;

fn main() -> ExitCode {
    match act() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("token_verification: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A key of the issuer: its name in the table, how it signs, and with what.
struct Signer {
    name: &'static str,
    algorithm: Jws,
    private: EncodingKey,
    /// The public part, where the library cannot tell it from the private one.
    public: Option<Value>,
}

impl Signer {
    fn rsa(name: &'static str, size: RsaKeySize) -> Outcome<Self> {
        let pair = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size)?;
        let private = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes())?;
        Ok(Self { name, algorithm: Jws::RS256, private, public: None })
    }

    fn ec(
        name: &'static str,
        algorithm: Jws,
        kind: &'static rcgen::SignatureAlgorithm,
    ) -> Outcome<Self> {
        let pair = KeyPair::generate_for(kind)?;
        let private = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes())?;
        Ok(Self { name, algorithm, private, public: None })
    }

    fn ed(name: &'static str) -> Outcome<Self> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
        let private = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes())?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
        let public = Some(json!({ "kty": "OKP", "crv": "Ed25519", "x": x }));
        Ok(Self { name, algorithm: Jws::EdDSA, private, public })
    }

    fn jwk(&self) -> Outcome<Value> {
        let mut key = match &self.public {
            Some(public) => public.clone(),
            None => serde_json::to_value(Jwk::from_encoding_key(&self.private, self.algorithm)?)?,
        };
        key["kid"] = json!(self.name);
        Ok(key)
    }

    /// A token as long as those of real issuers are: about 700 bytes.
    fn token(&self, number: usize) -> Outcome<String> {
        let header = Header { kid: Some(self.name.to_owned()), ..Header::new(self.algorithm) };
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({
            "iss": ISSUER,
            "aud": "moongate",
            "iat": now,
            "exp": now + 3600,
            "sub": format!("user-{number}"),
            "team": "design",
            "azp": "image-studio",
            "scope": "openid profile email",
            "email": format!("user-{number}@bench.example"),
            "jti": format!("0b6f2d1c-5e7a-4c39-9d58-{number:012}"),
            "preferred_username": format!("user-{number}"),
        });
        Ok(jsonwebtoken::encode(&header, &claims, &self.private)?)
    }
}

fn act() -> Outcome<()> {
    let signers = [
        Signer::rsa("RS256, 2048 bits", RsaKeySize::_2048)?,
        Signer::rsa("RS256, 4096 bits", RsaKeySize::_4096)?,
        Signer::ec("ES256", Jws::ES256, &rcgen::PKCS_ECDSA_P256_SHA256)?,
        Signer::ec("ES384", Jws::ES384, &rcgen::PKCS_ECDSA_P384_SHA384)?,
        Signer::ed("EdDSA")?,
    ];
    let keys = signers.iter().map(Signer::jwk).collect::<Outcome<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("microseconds for each token: median (99 of 100)\n");
    println!(
        "{:>18} {:>16} {:>16} {:>16} {:>16}",
        "", "good, here", "forged, here", "good, in the pool", "cached"
    );
    for signer in &signers {
        let tokens = (0..TOKENS).map(|number| signer.token(number)).collect::<Outcome<Vec<_>>>()?;
        let authenticator = authenticator(&json!({ "keys": keys }).to_string())?;
        let here = spread(&tokens, |token| {
            assert_good(authenticator.authenticate_now(token).map(|judged| judged.is_ok()))
        });
        let cached = spread(&tokens, |token| {
            assert_good(authenticator.lookup_cached(token).map(|judged| judged.is_ok()))
        });
        let forged: Vec<String> = tokens.iter().map(|token| forged(token)).collect();
        let refused =
            spread(&forged, |token| drop(black_box(authenticator.authenticate_now(token))));
        let authenticator = Arc::new(self::authenticator(&json!({ "keys": keys }).to_string())?);
        let guard = CredentialGuard::new(TrustedProxies::default(), Clock::system());
        let from = IpAddr::from([192, 0, 2, 1]);
        let pool = spread(&tokens, |token| {
            assert_good(Some(runtime.block_on(guard.judge(&authenticator, token, from)).is_ok()));
        });
        println!("{:>18} {here:>16} {refused:>16} {pool:>16} {cached:>16}", signer.name);
    }
    Ok(())
}

#[allow(clippy::panic, reason = "a figure of refusals would mean nothing")]
fn assert_good(judged: Option<bool>) {
    assert_eq!(judged, Some(true), "a good token was refused");
}

/// The same token with another's signature on it: it fails at the very end.
fn forged(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap_or_default();
    let turned: String = signature.chars().rev().collect();
    format!("{message}.{turned}")
}

/// How long something takes, over many different tokens.
fn spread(tokens: &[String], mut judge: impl FnMut(&str)) -> String {
    let mut times: Vec<Duration> = tokens
        .iter()
        .map(|token| {
            let begun = Instant::now();
            judge(token);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |part: usize| {
        times.get(times.len() * part / 100).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    format!("{:.1} ({:.1})", at(50), at(99))
}

fn authenticator(key_set: &str) -> Outcome<Authenticator> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), key_set)?;
    let pointer = |text: &str| ClaimPath::parse(text).ok_or("no pointer");
    let id = TeamId::parse("design").ok_or("no team")?;
    let issuer = IssuerSettings {
        issuer: ISSUER.into(),
        audiences: vec!["moongate".to_owned()],
        algorithms: Algorithm::ALL.to_vec(),
        keys: KeySource::File(file.path().to_owned()),
        authorities: None,
        refresh: IssuerSettings::REFRESH,
        max_stale: IssuerSettings::MAX_STALE,
        leeway: IssuerSettings::LEEWAY,
        max_token_age: None,
        team_claim: pointer("/team")?,
        user_claim: pointer("/sub")?,
        teams: HashMap::from([("design".to_owned(), id.clone())]),
    };
    let team = Team {
        id: id.clone(),
        state: State::Active,
        suspended_users: Vec::new().into_iter().collect(),
        models: Default::default(),
        limits: Arc::default(),
        user_limits: Arc::default(),
        weight: 1,
        time_zone: jiff::tz::TimeZone::UTC,
        prices: Arc::default(),
    };
    let settings = Settings { issuers: vec![issuer], ..Settings::default() };
    let teams = HashMap::from([(id, Arc::new(team))]);
    Ok(Authenticator::new(
        settings,
        &teams,
        &Arc::default(),
        None,
        Clock::system(),
        Arc::new(NotObserved),
    )?)
}
