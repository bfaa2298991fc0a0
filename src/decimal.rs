//! Decimal numbers as text, written digit by digit on the stack: every call writes a dozen, and
//! `fmt` takes ten times as long.

use std::ops::Deref;
use std::time::Duration;

/// Longest text: the digits of a `u64`, a point, and a zero before it.
const BYTES: usize = 22;

/// A decimal number as text.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    text: [u8; BYTES],
    begin: usize,
}

impl Decimal {
    /// `number` as a decimal with exactly `places` places: `fixed(25, 3)` is `0.025`.
    #[must_use]
    pub fn fixed(mut number: u64, places: usize) -> Self {
        let mut decimal = Self { text: [b'0'; BYTES], begin: BYTES };
        for _ in 0..places {
            decimal.put(digit(&mut number));
        }
        if places > 0 {
            decimal.put(b'.');
        }
        loop {
            decimal.put(digit(&mut number));
            if number == 0 {
                return decimal;
            }
        }
    }

    /// The same without zeros at its end.
    #[must_use]
    pub fn short(mut number: u64, mut places: usize) -> Self {
        while places > 0 && number.is_multiple_of(10) {
            (number, places) = (number / 10, places - 1);
        }
        Self::fixed(number, places)
    }

    /// A time in milliseconds, to the microsecond.
    #[must_use]
    pub fn millis(time: Duration) -> Self {
        Self::fixed(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), 3)
    }

    /// The text, as ASCII bytes, which skips a UTF-8 check.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(self.begin..).unwrap_or_default()
    }

    fn put(&mut self, byte: u8) {
        self.begin -= 1;
        self.text[self.begin] = byte;
    }
}

/// Splits off the last digit of a number.
fn digit(number: &mut u64) -> u8 {
    let [last, ..] = (*number % 10).to_le_bytes();
    *number /= 10;
    b'0' + last
}

impl Deref for Decimal {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_parts_is_a_decimal_number_of_wholes() {
        for (number, places, fixed, short) in [
            (0, 3, "0.000", "0"),
            (0, 0, "0", "0"),
            (100, 0, "100", "100"),
            (45, 3, "0.045", "0.045"),
            (1_234_500, 3, "1234.500", "1234.5"),
            (2, 6, "0.000002", "0.000002"),
            (400_000_000, 6, "400.000000", "400"),
            (u64::MAX, 6, "18446744073709.551615", "18446744073709.551615"),
            (u64::MAX, 20, "0.18446744073709551615", "0.18446744073709551615"),
        ] {
            assert_eq!(&*Decimal::fixed(number, places), fixed);
            assert_eq!(&*Decimal::short(number, places), short);
        }
    }

    #[test]
    fn a_time_is_told_in_milliseconds_to_the_microsecond() {
        assert_eq!(&*Decimal::millis(Duration::from_nanos(1_234_005_999)), "1234.005");
        assert_eq!(&*Decimal::millis(Duration::MAX), "18446744073709551.615");
    }
}
