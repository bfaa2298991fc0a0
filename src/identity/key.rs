//! The form of a gateway key: made once, shown once, told from a typo without a lookup, kept only as a hash.
//!
//! `mgk_<id>_<secret><checksum>`: 12 letters and digits of public id, 32 of secret, 6 of checksum (CRC-32 of everything
//! before it, in base 62). Secret scanners find it by `\bmgk_[A-Za-z0-9]{12}_[A-Za-z0-9]{38}\b` and confirm it by the
//! checksum.

use std::{fmt, io};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::secret::Secret;
use crate::team::KeyId;

/// What every gateway key begins with.
pub const PREFIX: &str = "mgk_";

const SECRET_CHARS: usize = 32;
const CHECKSUM_CHARS: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// SHA-256 of a key's secret: all that is ever kept of it.
///
/// A fast hash is enough: the secret has 190 random bits, so there is nothing to guess, and a slow hash would be a
/// lever for denial of service.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of a secret.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Takes the 32 bytes of a hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits, in either case.
    #[must_use]
    pub fn parse_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The hash as 64 lower-case hexadecimal digits, as the configuration file keeps it.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

/// In constant time: how long it takes does not depend on where two hashes differ.
impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash]")
    }
}

/// A new gateway key. Its text leaves once, here; afterwards only the id and the hash exist.
#[derive(Debug)]
pub struct GatewayKey {
    /// The public id.
    pub id: KeyId,
    /// The whole key, for the person it is made for.
    pub text: Secret,
    /// What is kept of the secret.
    pub hash: SecretHash,
}

impl GatewayKey {
    /// Makes a key from the system's generator; fails only when that does.
    pub fn generate() -> io::Result<Self> {
        let mut random = Zeroizing::new([0; KeyId::BYTES + SECRET_CHARS]);
        fill_evenly(random.as_mut_slice())?;
        let (id, secret) = random.split_at(KeyId::BYTES);
        Self::assemble(id, secret).ok_or_else(|| io::Error::other("a key could not be made of random characters"))
    }

    /// Makes another secret for the id of a key that there is; fails only when the system's generator does.
    pub fn for_id(id: KeyId) -> io::Result<Self> {
        let mut secret = Zeroizing::new([0; SECRET_CHARS]);
        fill_evenly(secret.as_mut_slice())?;
        let made = Self::assemble(id.as_str().as_bytes(), secret.as_slice());
        made.ok_or_else(|| io::Error::other("a key could not be made of random characters"))
    }

    fn assemble(id: &[u8], secret: &[u8]) -> Option<Self> {
        let (id, secret) = (str::from_utf8(id).ok()?, str::from_utf8(secret).ok()?);
        let mut text = Zeroizing::new(format!("{PREFIX}{id}_{secret}"));
        let checksum = checksum(text.as_bytes());
        text.push_str(str::from_utf8(&checksum).ok()?);
        Some(Self { id: KeyId::parse(id)?, text: Secret::new(&text), hash: SecretHash::of(secret) })
    }
}

/// A gateway key as a caller shows it: well formed, its checksum right, not yet known to anyone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShownKey<'a> {
    /// The public id.
    pub id: &'a str,
    /// The secret, without the checksum.
    pub secret: &'a str,
}

impl<'a> ShownKey<'a> {
    /// Reads a key; `None` when it is not of the form above, a typo in any one place included.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let (secret, shown) = rest.split_at_checked(SECRET_CHARS)?;
        let alphanumeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let well_formed =
            id.len() == KeyId::BYTES && shown.len() == CHECKSUM_CHARS && alphanumeric(id) && alphanumeric(rest);
        if !well_formed {
            return None;
        }
        let (before, _) = text.split_at_checked(text.len() - CHECKSUM_CHARS)?;
        (checksum(before.as_bytes()) == shown.as_bytes()).then_some(Self { id, secret })
    }
}

impl fmt::Debug for ShownKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shown key {}", self.id)
    }
}

/// Random letters and digits, each as likely as any other: bytes from 248 on are drawn again, because 256 is no
/// multiple of 62.
fn fill_evenly(characters: &mut [u8]) -> io::Result<()> {
    let mut batch = Zeroizing::new([0_u8; 64]);
    let mut open = characters.iter_mut();
    loop {
        getrandom::fill(batch.as_mut_slice()).map_err(io::Error::other)?;
        for byte in batch.iter().filter(|byte| **byte < 248) {
            let Some(slot) = open.next() else {
                batch.zeroize();
                return Ok(());
            };
            *slot = digit(u32::from(*byte));
        }
    }
}

/// The base 62 digit of a number's last place.
fn digit(number: u32) -> u8 {
    ALPHABET.get((number % 62) as usize).copied().unwrap_or_default()
}

/// CRC-32 as in gzip (RFC 1952 section 8), so that anyone can compute it in one line of any language.
fn checksum(text: &[u8]) -> [u8; CHECKSUM_CHARS] {
    let mut rest = crc32fast::hash(text);
    let mut digits = [0; CHECKSUM_CHARS];
    for place in digits.iter_mut().rev() {
        *place = digit(rest);
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use std::collections::{HashMap, HashSet};

    use super::*;

    const GOLDEN: &str = "mgk_k7Qp2mZr9aBc_0123456789ABCDEFGHIJKLMNOPQRSTUV4BBt8Y";
    const GOLDEN_HASH: &str = "41ba696bc2822924f7cba0ce211bfddfe653ceb3c981255a1775bebf110bf42d";

    #[test]
    fn the_form_of_a_key_never_changes() {
        let shown = ShownKey::parse(GOLDEN).expect("golden key");
        assert_eq!((shown.id, shown.secret), ("k7Qp2mZr9aBc", "0123456789ABCDEFGHIJKLMNOPQRSTUV"));
        assert_eq!(SecretHash::of(shown.secret).to_hex(), GOLDEN_HASH);
        let made = GatewayKey::assemble(shown.id.as_bytes(), shown.secret.as_bytes()).expect("key");
        assert_eq!(made.text.expose(), GOLDEN);
    }

    #[test]
    fn a_typo_in_any_place_is_told_without_a_lookup() {
        for place in 0..GOLDEN.len() {
            for wrong in *b"0aZ_-. \0" {
                let mut bytes = GOLDEN.as_bytes().to_vec();
                if std::mem::replace(&mut bytes[place], wrong) != wrong {
                    let text = String::from_utf8(bytes).expect("ascii");
                    assert_eq!(ShownKey::parse(&text), None, "{text}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_key_is_not_read_as_one() {
        let swapped = GOLDEN.replace("01", "10");
        for text in
            ["", "mgk_", "mgk__", &GOLDEN[..54], &GOLDEN[1..], &swapped, GOLDEN_HASH, "mgk_é", &GOLDEN.to_uppercase()]
        {
            assert_eq!(ShownKey::parse(text), None, "{text}");
        }
        for text in [format!("{GOLDEN}0"), format!(" {GOLDEN}"), format!("{GOLDEN}\n"), GOLDEN.repeat(200)] {
            assert_eq!(ShownKey::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn new_keys_are_well_formed_all_different_and_evenly_spread() {
        let mut seen = HashSet::new();
        let mut counts: HashMap<char, u32> = HashMap::new();
        for _ in 0..2000 {
            let key = GatewayKey::generate().expect("random numbers");
            let shown = ShownKey::parse(key.text.expose()).expect("well formed");
            assert_eq!((shown.id, SecretHash::of(shown.secret)), (key.id.as_str(), key.hash));
            shown.secret.chars().for_each(|char| *counts.entry(char).or_default() += 1);
            assert!(seen.insert(shown.secret.to_owned()) && seen.insert(shown.id.to_owned()));
        }
        // 64,000 characters, 1,032 of each expected, deviation 32: seven deviations are never seen by chance.
        assert_eq!(counts.len(), 62);
        assert!(counts.values().all(|count| (800..1270).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_hash_is_read_in_either_case_and_never_shown() {
        let hash = SecretHash::parse_hex(GOLDEN_HASH).expect("hash");
        assert_eq!(hash, SecretHash::parse_hex(&GOLDEN_HASH.to_uppercase()).expect("hash"));
        assert_eq!(hash, SecretHash::of("0123456789ABCDEFGHIJKLMNOPQRSTUV"));
        assert_ne!(hash, SecretHash::of("0123456789ABCDEFGHIJKLMNOPQRSTUW"));
        for bad in [
            "",
            "41",
            &GOLDEN_HASH[1..],
            &GOLDEN_HASH.replace('4', "g"),
            &GOLDEN_HASH.replacen("41", "+1", 1),
            &"é".repeat(32),
        ] {
            assert_eq!(SecretHash::parse_hex(bad), None, "{bad}");
        }
        let key = GatewayKey::generate().expect("random numbers");
        let shown = format!("{key:?} {:?}", ShownKey::parse(key.text.expose()));
        assert!(!shown.contains(&key.text.expose()[17..]) && !shown.contains(&key.hash.to_hex()), "{shown}");
    }
}
