//! Detects RSA keys with the ROCA flaw (CVE-2017-15361), whose modulus can be factored.
//!
//! The flawed generator's primes, and so their products, are powers of 65537 modulo every small
//! prime. A sound modulus has that property by chance once in a hundred million. After Nemec and
//! others, "The Return of Coppersmith's Attack" (CCS 2017), section 3.

/// Small primes from 3 on that the flawed generator uses for keys of any size.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];
const GENERATOR: u32 = 65_537;

/// Whether a modulus, most significant byte first, has the flaw's pattern.
pub(super) fn is_likely(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| is_a_power(remainder(modulus, *prime), *prime))
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number.iter().fold(0, |so_far, byte| (so_far * 256 + u32::from(*byte)) % prime)
}

/// Whether a remainder is a power of the generator, modulo a prime.
fn is_a_power(remainder: u32, prime: u32) -> bool {
    let powers = std::iter::successors(Some(1), |power| Some(power * GENERATOR % prime));
    (0..prime).zip(powers).any(|(_, power)| power == remainder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_powers_of_the_generator_is_recognised() {
        let mut power = 1_u128;
        for _ in 0..7 {
            power *= u128::from(GENERATOR);
            assert!(is_likely(&power.to_be_bytes()));
            assert!(!is_likely(&(power + 2).to_be_bytes()));
        }
    }
}
