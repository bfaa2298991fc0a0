//! One key of a key set (RFC 7517): its material and what it may verify, or why it is not used.
//!
//! A key is used only if everything in it is consistent: type, curve, size, `use`, `key_ops` and
//! `alg`. Symmetric keys and keys with their private part are ignored in any key set.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::roca;
use super::settings::Algorithm;

/// Accepted sizes of RSA moduli, in bits: smaller ones can be broken, larger ones make verification
/// slow.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Members that only private and symmetric keys have (RFC 7518 section 6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A key and what it may verify.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) kid: Option<Box<str>>,
    pub(super) family: Family,
    pub(super) algorithms: &'static [Algorithm],
    pub(super) verifier: DecodingKey,
    pub(super) fingerprint: Fingerprint,
}

/// Usable key types (`kty`, RFC 7518 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Rsa,
    Elliptic,
    Edwards,
}

/// Identity of a verifying key: hash of its material, its `kid` and its algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

/// Why a key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unused {
    /// No JSON object.
    NoObject,
    /// Contains its private part, or is symmetric.
    Private,
    /// The `use` or `key_ops` is not for signatures.
    NotForSignatures,
    /// The `kty` or `crv` is not supported.
    Kind,
    /// The `kid` is not a string.
    Kid,
    /// The `alg` is not accepted, or does not fit its type.
    Algorithm,
    /// An RSA key that is too short or too long, has a bad exponent, or comes from a broken
    /// generator.
    Weak,
    /// The material is incomplete or malformed.
    Malformed,
    /// Listed twice.
    Twice,
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoObject => "it is no JSON object",
            Self::Private => "it shows a private part, or is symmetric",
            Self::NotForSignatures => "its use or key_ops says that it does not check signatures",
            Self::Kind => "its kty or crv is none of RSA, EC with P-256 or P-384, OKP with Ed25519",
            Self::Kid => "its kid is no text",
            Self::Algorithm => "its alg is none that is accepted, or none for its kty and crv",
            Self::Weak => {
                "it is an RSA key of less than 2048 or more than 8192 bits, of a bad exponent, \
                 or of a broken generator"
            }
            Self::Malformed => "a part of it is missing or malformed",
            Self::Twice => "it is listed before",
        })
    }
}

/// Material of a key, before its uses are known.
struct Material {
    family: Family,
    algorithms: &'static [Algorithm],
    verifier: DecodingKey,
    bytes: Vec<u8>,
}

impl Key {
    /// Parses an entry of a set.
    pub(super) fn read(entry: &Value) -> Result<Self, Unused> {
        let jwk = entry.as_object().ok_or(Unused::NoObject)?;
        if PRIVATE_MEMBERS.iter().any(|member| jwk.contains_key(*member)) {
            return Err(Unused::Private);
        }
        if !is_for_signatures(jwk) {
            return Err(Unused::NotForSignatures);
        }
        let material = match text(jwk, "kty") {
            Some("RSA") => rsa(jwk)?,
            Some("EC") => elliptic(jwk)?,
            Some("OKP") => edwards(jwk)?,
            Some(_) | None => return Err(Unused::Kind),
        };
        let algorithms = match jwk.get("alg") {
            Some(alg) => narrowed(material.algorithms, alg).ok_or(Unused::Algorithm)?,
            None => material.algorithms,
        };
        let kid = match jwk.get("kid") {
            Some(kid) => Some(kid.as_str().ok_or(Unused::Kid)?),
            None => None,
        };
        let fingerprint = Fingerprint::of(kid, algorithms, &material.bytes);
        let Material { family, verifier, .. } = material;
        Ok(Self { kid: kid.map(Into::into), family, algorithms, verifier, fingerprint })
    }
}

impl Fingerprint {
    fn of(kid: Option<&str>, algorithms: &[Algorithm], material: &[u8]) -> Self {
        let mut hash = Sha256::new();
        let names: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
        for part in [
            kid.map_or("", |_| "kid").as_bytes(),
            kid.unwrap_or("").as_bytes(),
            names.join(" ").as_bytes(),
            material,
        ] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// Whether `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3) are absent or allow verifying.
fn is_for_signatures(jwk: &Map<String, Value>) -> bool {
    let use_fits = jwk.get("use").is_none_or(|r#use| r#use.as_str() == Some("sig"));
    let operations_fit = jwk.get("key_ops").is_none_or(|operations| {
        operations
            .as_array()
            .is_some_and(|list| list.iter().any(|operation| operation.as_str() == Some("verify")))
    });
    use_fits && operations_fit
}

/// The algorithm in the key's `alg`, if its type supports it.
fn narrowed(possible: &'static [Algorithm], alg: &Value) -> Option<&'static [Algorithm]> {
    let algorithm = Algorithm::parse(alg.as_str()?)?;
    possible.iter().position(|fitting| *fitting == algorithm).and_then(|at| possible.get(at..=at))
}

fn rsa(jwk: &Map<String, Value>) -> Result<Material, Unused> {
    const ALGORITHMS: &[Algorithm] = &[
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ];
    let (modulus, exponent) = (number(jwk, "n")?, number(jwk, "e")?);
    let first_bits = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    let exponent_is_sane = exponent.len() <= 4 && is_odd(&exponent) && exponent != [1];
    let size_fits = RSA_BITS.contains(&(modulus.len() * 8 - first_bits));
    if !size_fits || !is_odd(&modulus) || !exponent_is_sane || roca::is_likely(&modulus) {
        return Err(Unused::Weak);
    }
    let verifier = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
    let bytes = [modulus, b".".to_vec(), exponent].concat();
    Ok(Material { family: Family::Rsa, algorithms: ALGORITHMS, verifier, bytes })
}

fn elliptic(jwk: &Map<String, Value>) -> Result<Material, Unused> {
    let (algorithms, size): (&'static [Algorithm], usize) = match text(jwk, "crv") {
        Some("P-256") => (&[Algorithm::ES256], 32),
        Some("P-384") => (&[Algorithm::ES384], 48),
        Some(_) | None => return Err(Unused::Kind),
    };
    let coordinate = |member| {
        let text = text(jwk, member).ok_or(Unused::Malformed)?;
        Ok::<_, Unused>((
            text,
            bytes(jwk, member).filter(|bytes| bytes.len() == size).ok_or(Unused::Malformed)?,
        ))
    };
    let ((x, x_bytes), (y, y_bytes)) = (coordinate("x")?, coordinate("y")?);
    let verifier = DecodingKey::from_ec_components(x, y).map_err(|_| Unused::Malformed)?;
    Ok(Material {
        family: Family::Elliptic,
        algorithms,
        verifier,
        bytes: [x_bytes, y_bytes].concat(),
    })
}

/// Ed25519 only: Ed448 is another algorithm (RFC 9864 section 2.2).
fn edwards(jwk: &Map<String, Value>) -> Result<Material, Unused> {
    if text(jwk, "crv") != Some("Ed25519") {
        return Err(Unused::Kind);
    }
    let x = bytes(jwk, "x").filter(|x| x.len() == 32).ok_or(Unused::Malformed)?;
    let (algorithms, verifier) = (&[Algorithm::EdDSA], DecodingKey::from_ed_der(&x));
    Ok(Material { family: Family::Edwards, algorithms, verifier, bytes: x })
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    jwk.get(member)?.as_str()
}

fn bytes(jwk: &Map<String, Value>, member: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(jwk, member)?).ok()
}

/// A positive number without leading zeros, which some issuers write although RFC 7518 section 2
/// forbids them.
fn number(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, Unused> {
    let bytes = bytes(jwk, member).ok_or(Unused::Malformed)?;
    let start = bytes.iter().position(|byte| *byte != 0).ok_or(Unused::Malformed)?;
    Ok(bytes.get(start..).unwrap_or_default().to_vec())
}
