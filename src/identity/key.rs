//! Format of gateway keys. A key is made and shown once, checked for typing errors without a
//! lookup, and stored only as a hash.
//!
//! `mgk_<id>_<secret><checksum>`: 12 letters and digits of public id, 32 of secret, 6 of checksum
//! (CRC-32 of everything before it, in base 62). Secret scanners find it by
//! `\bmgk_[A-Za-z0-9]{12}_[A-Za-z0-9]{38}\b` and confirm it by the checksum.

use std::{fmt, io};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::secret::Secret;
use crate::team::KeyId;

/// Prefix of every gateway key.
pub const PREFIX: &str = "mgk_";

const SECRET_CHARS: usize = 32;
const CHECKSUM_CHARS: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// SHA-256 of a key's secret, the only part that is stored.
///
/// A fast hash is enough: the secret has 190 random bits, so it cannot be guessed, and a slow hash
/// would invite denial of service.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Hashes a secret.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// A hash of 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses 64 hexadecimal digits of either case.
    #[must_use]
    pub fn parse_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// 64 lower-case hexadecimal digits, as in the configuration file.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }
}

/// Compares in constant time.
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

/// A new gateway key. Its text is shown once; afterwards only id and hash exist.
#[derive(Debug)]
pub struct GatewayKey {
    /// The public id.
    pub id: KeyId,
    /// The whole key, for its owner.
    pub text: Secret,
    /// Hash of the secret, to be stored.
    pub hash: SecretHash,
}

impl GatewayKey {
    /// Makes a key with the system's random generator; fails only if that does.
    pub fn generate() -> io::Result<Self> {
        let mut random = Zeroizing::new([0; KeyId::BYTES + SECRET_CHARS]);
        fill_evenly(random.as_mut_slice())?;
        let (id, secret) = random.split_at(KeyId::BYTES);
        Self::assemble(id, secret)
            .ok_or_else(|| io::Error::other("a key could not be made of random characters"))
    }

    /// Makes another secret for the id of an existing key; fails only if the system's generator
    /// does.
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

/// A well-formed gateway key with a right checksum, not yet looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShownKey<'a> {
    /// The public id.
    pub id: &'a str,
    /// The secret, without the checksum.
    pub secret: &'a str,
}

impl<'a> ShownKey<'a> {
    /// Parses a key; `None` when it is malformed or has a typing error.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let (secret, shown) = rest.split_at_checked(SECRET_CHARS)?;
        let alphanumeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let well_formed = id.len() == KeyId::BYTES
            && shown.len() == CHECKSUM_CHARS
            && alphanumeric(id)
            && alphanumeric(rest);
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

/// Random letters and digits, uniformly: bytes from 248 on are drawn again, since 256 is no
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

/// The last base 62 digit of a number.
fn digit(number: u32) -> u8 {
    ALPHABET.get((number % 62) as usize).copied().unwrap_or_default()
}

/// CRC-32 as in gzip (RFC 1952 section 8), which every language has.
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
        for text in [
            "",
            "mgk_",
            "mgk__",
            &GOLDEN[..54],
            &GOLDEN[1..],
            &swapped,
            GOLDEN_HASH,
            "mgk_é",
            &GOLDEN.to_uppercase(),
        ] {
            assert_eq!(ShownKey::parse(text), None, "{text}");
        }
        for text in
            [format!("{GOLDEN}0"), format!(" {GOLDEN}"), format!("{GOLDEN}\n"), GOLDEN.repeat(200)]
        {
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
        // 64,000 characters, 1,032 of each expected, standard deviation 32: seven deviations never
        // happen by chance.
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
        assert!(
            !shown.contains(&key.text.expose()[17..]) && !shown.contains(&key.hash.to_hex()),
            "{shown}"
        );
    }
}
