//! Durations and sizes with units.

use std::time::Duration;

const DAY: u64 = 24 * 3600;

/// Parses `250ms`, `20s`, `5m`, `24h`, `30d`.
///
/// # Errors
/// The right form, as a message.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("must be a duration such as 250ms, 20s, 5m or 24h, not {text:?}");
    let (digits, unit) = split(text);
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(count)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => DAY,
        "" => {
            return Err(format!(
                "must have a unit: {count}ms, {count}s, {count}m, {count}h or {count}d"
            ));
        }
        _ => return Err(wrong()),
    };
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// A duration in the largest unit that holds it exactly.
pub(super) fn written_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [("d", 24 * 3_600_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let unit = units.into_iter().find(|(_, size)| millis > 0 && millis.is_multiple_of(*size));
    match unit {
        Some((unit, size)) => format!("{}{unit}", millis / size),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

/// Parses a number of bytes: `4500000`, `4.5MB`, `512MiB`.
///
/// # Errors
/// The right form, as a message.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("must be a size such as 4.5MB, 512MiB or a number of bytes, not {text:?}");
    let (digits, unit) = split(text);
    let factor: u64 = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let bytes = || {
        let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
        let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let part = fraction.parse::<u64>().ok()?.checked_mul(factor)?;
        if part % scale == 0 { whole.checked_add(part / scale) } else { None }
    };
    bytes().ok_or_else(wrong)
}

/// A size in the file's notation.
pub(super) fn written_size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1_u64 << 10)];
    let unit = units.into_iter().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size));
    match unit {
        Some((unit, size)) => format!("{}{unit}", bytes / size),
        None => format!("{bytes}"),
    }
}

fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    (digits, unit.strip_prefix(' ').unwrap_or(unit))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("20s", 20_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("400d", 34_560_000_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in [
            "",
            "20",
            "s",
            "1.5s",
            "-1s",
            "20 sec",
            "1h30m",
            "99999999999999999999s",
            "184467440737095516d",
            "20S",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_size_is_a_whole_number_of_bytes() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("4.5MB", 4_500_000),
            ("512MiB", 536_870_912),
            ("0.5KiB", 512),
            ("1kB", 1000),
            ("2GiB", 2 << 30),
            ("7B", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in [
            "",
            "MB",
            "1.5",
            "4.5.1MB",
            "-1",
            "1TB",
            "0.0001kB",
            "99999999999999999999",
            "99999999999GiB",
            ".5MB",
            "1.MB",
        ] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_back_reads_the_same() {
        for text in ["250ms", "90s", "5m", "24h", "400d", "0s"] {
            let read = duration(text).expect(text);
            assert_eq!(duration(&written_duration(read)), Ok(read));
        }
        for bytes in [0, 1, 1024, 4_500_000, 512 << 20] {
            assert_eq!(size(&written_size(bytes)), Ok(bytes));
        }
    }
}
