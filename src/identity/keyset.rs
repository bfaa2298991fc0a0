//! An issuer's key set (RFC 7517): which of its keys can be used, and for which algorithms.
//!
//! A key is taken only when all that it says of itself fits: its type, curve and size, `use`, `key_ops` and `alg`. Symmetric keys
//! and keys that show their private part are ignored, whoever published them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::settings::Algorithm;
use super::{roca, strict};

/// The largest key set that is read, in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;
/// The most keys a set may list.
pub const KEYS_MAX: usize = 200;

/// How many keys of one `kid` are tried for one token; bounds what a token can cost.
const KEYS_TRIED: usize = 4;
/// RSA moduli that are accepted, in bits: below, they can be broken; above, verifying them can be made to take long.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Members that only a private or symmetric key has (RFC 7518 section 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a whole key set was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// More than [`BYTES_MAX`].
    #[error("the key set is larger than 1 MiB")]
    TooLarge,
    /// No JSON object with a list `keys`, or a member comes twice.
    #[error("this is not a key set")]
    NotAKeySet,
    /// More than [`KEYS_MAX`].
    #[error("the key set lists more than {KEYS_MAX} keys")]
    TooManyKeys,
    /// Nothing could be verified with it. An issuer whose set is emptied by mistake keeps the one it had.
    #[error("none of the keys in the key set can be used")]
    NoUsableKey,
}

/// The usable keys of one issuer.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    ignored: usize,
}

/// One key, and what it may verify.
#[derive(Debug)]
pub(super) struct Key {
    kid: Option<Box<str>>,
    algorithms: &'static [Algorithm],
    pub(super) verifier: DecodingKey,
    pub(super) fingerprint: Fingerprint,
}

/// Which key something was verified with: the hash of its material, its `kid` and its algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

/// The keys that a token may have been signed with.
pub(super) enum Candidates<'a> {
    /// These, in the order of the set; perhaps none that fits the algorithm.
    Some(Vec<&'a Key>),
    /// The set knows no such key; a newer one might.
    Unknown,
}

impl KeySet {
    /// Reads a key set; keys that cannot be used are left out and counted.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > BYTES_MAX {
            return Err(KeySetError::TooLarge);
        }
        let mut members = strict::object(bytes).ok_or(KeySetError::NotAKeySet)?;
        let Some(Value::Array(listed)) = members.remove("keys") else {
            return Err(KeySetError::NotAKeySet);
        };
        if listed.len() > KEYS_MAX {
            return Err(KeySetError::TooManyKeys);
        }
        let mut keys: Vec<Key> = Vec::with_capacity(listed.len());
        for key in listed.iter().filter_map(Value::as_object).filter_map(Key::read) {
            if !keys.iter().any(|earlier| earlier.fingerprint == key.fingerprint) {
                keys.push(key);
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey);
        }
        Ok(Self { ignored: listed.len() - keys.len(), keys })
    }

    /// How many keys can be used.
    #[must_use]
    pub fn usable(&self) -> usize {
        self.keys.len()
    }

    /// How many were listed and left out: unusable, or listed twice.
    #[must_use]
    pub fn ignored(&self) -> usize {
        self.ignored
    }

    /// Whether another set has the same usable keys.
    #[must_use]
    pub fn has_the_keys_of(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len() && self.keys.iter().all(|key| other.holds(&key.fingerprint))
    }

    /// Whether a key is still in the set.
    pub(super) fn holds(&self, fingerprint: &Fingerprint) -> bool {
        self.keys.iter().any(|key| key.fingerprint == *fingerprint)
    }

    /// The keys for a token that says `kid` and this algorithm. Several keys may share a `kid`. A token without one is
    /// accepted only when the set leaves no choice (OpenID Connect Core 1.0, section 10.1).
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Candidates<'_> {
        let fits = |key: &&Key| key.algorithms.contains(&algorithm);
        let Some(kid) = kid else {
            let fitting: Vec<&Key> = self.keys.iter().filter(fits).collect();
            return match fitting.len() {
                0 => Candidates::Unknown,
                1 => Candidates::Some(fitting),
                _ => Candidates::Some(Vec::new()),
            };
        };
        let mut named = self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).peekable();
        match named.peek() {
            Some(_) => Candidates::Some(named.filter(fits).take(KEYS_TRIED).collect()),
            None => Candidates::Unknown,
        }
    }
}

/// What a key is made of, before it is said what it is for.
struct Material {
    algorithms: &'static [Algorithm],
    verifier: DecodingKey,
    bytes: Vec<u8>,
}

impl Key {
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        if PRIVATE_MEMBERS.iter().any(|member| jwk.contains_key(*member)) || !is_for_signatures(jwk) {
            return None;
        }
        let material = match text(jwk, "kty")? {
            "RSA" => rsa(jwk),
            "EC" => elliptic(jwk),
            "OKP" => edwards(jwk),
            _ => None,
        }?;
        let algorithms = match jwk.get("alg") {
            Some(alg) => narrowed(material.algorithms, alg)?,
            None => material.algorithms,
        };
        let kid = match jwk.get("kid") {
            Some(kid) => Some(kid.as_str()?),
            None => None,
        };
        let fingerprint = Fingerprint::of(kid, algorithms, &material.bytes);
        Some(Self { kid: kid.map(Into::into), algorithms, verifier: material.verifier, fingerprint })
    }
}

impl Fingerprint {
    fn of(kid: Option<&str>, algorithms: &[Algorithm], material: &[u8]) -> Self {
        let mut hash = Sha256::new();
        let names: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
        for part in
            [kid.map_or("", |_| "kid").as_bytes(), kid.unwrap_or("").as_bytes(), names.join(" ").as_bytes(), material]
        {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3): absent, or for checking signatures.
fn is_for_signatures(jwk: &Map<String, Value>) -> bool {
    let use_fits = jwk.get("use").is_none_or(|r#use| r#use.as_str() == Some("sig"));
    let operations_fit = jwk.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|list| list.iter().any(|operation| operation.as_str() == Some("verify")))
    });
    use_fits && operations_fit
}

/// The one algorithm a key says it is for, if its type can be used for it.
fn narrowed(possible: &'static [Algorithm], alg: &Value) -> Option<&'static [Algorithm]> {
    let algorithm = Algorithm::parse(alg.as_str()?)?;
    possible.iter().position(|fitting| *fitting == algorithm).and_then(|at| possible.get(at..=at))
}

fn rsa(jwk: &Map<String, Value>) -> Option<Material> {
    const ALGORITHMS: &[Algorithm] =
        &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
    let (modulus, exponent) = (number(jwk, "n")?, number(jwk, "e")?);
    let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
    let exponent_is_sane = exponent.len() <= 4 && exponent.last()? % 2 == 1 && exponent != [1];
    if !RSA_BITS.contains(&bits) || modulus.last()? % 2 == 0 || !exponent_is_sane || roca::is_likely(&modulus) {
        return None;
    }
    let verifier = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
    Some(Material { algorithms: ALGORITHMS, verifier, bytes: [modulus, b".".to_vec(), exponent].concat() })
}

fn elliptic(jwk: &Map<String, Value>) -> Option<Material> {
    let (algorithms, size): (&'static [Algorithm], usize) = match text(jwk, "crv")? {
        "P-256" => (&[Algorithm::ES256], 32),
        "P-384" => (&[Algorithm::ES384], 48),
        _ => return None,
    };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != size || y.len() != size {
        return None;
    }
    let verifier = DecodingKey::from_ec_components(text(jwk, "x")?, text(jwk, "y")?).ok()?;
    Some(Material { algorithms, verifier, bytes: [x, y].concat() })
}

fn edwards(jwk: &Map<String, Value>) -> Option<Material> {
    let x = bytes(jwk, "x")?;
    if text(jwk, "crv")? != "Ed25519" || x.len() != 32 {
        return None;
    }
    Some(Material { algorithms: &[Algorithm::EdDSA], verifier: DecodingKey::from_ed_der(&x), bytes: x })
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    jwk.get(member)?.as_str()
}

fn bytes(jwk: &Map<String, Value>, member: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(jwk, member)?).ok()
}

/// A positive number, without the zeros in front that some issuers write although RFC 7518 section 2 forbids them.
fn number(jwk: &Map<String, Value>, member: &str) -> Option<Vec<u8>> {
    let bytes = bytes(jwk, member)?;
    let start = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(start..).map(<[u8]>::to_vec)
}

#[cfg(test)]
#[path = "keyset_tests.rs"]
mod tests;
