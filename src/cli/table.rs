//! Tables for people, with columns as wide as their content.

use std::io::{self, Write};

use jiff::{Timestamp, Unit};
use serde_json::Value;

use crate::printable::Printable;

/// Writes a table. Numbers are aligned like text, and nothing is cut. Unsafe characters are
/// escaped, since others choose the names in it.
///
/// # Errors
/// The output could not be written.
pub fn write(out: &mut dyn Write, titles: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let shown = |cell: &String| Printable::whole(cell).to_string();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(titles.get(column).map(|title| title.chars().count())).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    for row in std::iter::once(&titles).chain(&rows) {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// A value for people: text without quotes, a number as a plain decimal, nothing for `null`.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        // JSON would write two millionths as 2e-6.
        Value::Number(number) if number.is_f64() => number.as_f64().unwrap_or_default().to_string(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A time for people, to the second.
pub fn time(value: &Value) -> String {
    let read = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    read.and_then(|at| at.round(Unit::Second).ok()).map_or_else(|| text(value), |at| at.to_string())
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_people_write_them() {
        let shown = |json: &str| text(&serde_json::from_str(json).expect(json));
        for (json, people) in [
            ("0.000002", "0.000002"),
            ("400", "400"),
            ("0.1", "0.1"),
            ("null", ""),
            ("\"a b\"", "a b"),
            ("true", "true"),
        ] {
            assert_eq!(shown(json), people);
        }
        assert_eq!(time(&"2026-11-28T18:25:42.123456789Z".into()), "2026-11-28T18:25:42Z");
        assert_eq!(time(&Value::Null), "");
    }

    #[test]
    fn columns_stand_under_each_other() {
        let mut out = Vec::new();
        let rows = [["design", "8", ""], ["groß", "100", "a\nb"]]
            .map(|row| row.map(str::to_owned).to_vec());
        write(&mut out, &["TEAM", "USED", "NOTE"], &rows).expect("written");
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "TEAM    USED  NOTE\ndesign  8\ngroß    100   a\\nb\n"
        );
    }

    #[test]
    fn a_name_moves_no_cursor_and_turns_nothing_around() {
        let mut out = Vec::new();
        let rows = [vec!["ci\u{1b}[2J".to_owned(), "ann\u{202e}nimda".to_owned(), "x".to_owned()]];
        write(&mut out, &["NAME", "USER", "STATE"], &rows).expect("written");
        let shown = String::from_utf8(out).expect("text");
        assert_eq!(
            shown,
            "NAME         USER              STATE\nci\\u{1b}[2J  ann\\u{202e}nimda  x\n"
        );
    }
}
