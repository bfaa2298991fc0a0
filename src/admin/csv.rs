//! Reports as CSV (RFC 4180) that is safe to open in a spreadsheet.

use std::borrow::Cow;

use bytes::Bytes;

use crate::printable::Printable;
use crate::refusal::Refusal;

/// Media type, which announces the header line.
pub const CSV: &str = "text/csv; charset=utf-8; header=present";

/// A table as CSV.
///
/// # Errors
/// `internal`: it could not be written, which is a bug.
pub fn written(
    titles: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<Bytes, Refusal> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let mut write =
        |row: Vec<Cow<'_, str>>| writer.write_record(row.iter().map(|cell| cell.as_bytes()));
    write(titles.iter().map(|title| Cow::Borrowed(*title)).collect())
        .map_err(|_| Refusal::Internal)?;
    for row in rows {
        write(row.into_iter().map(harmless).collect()).map_err(|_| Refusal::Internal)?;
    }
    writer.into_inner().map(Bytes::from).map_err(|_| Refusal::Internal)
}

/// A cell that no spreadsheet takes for a formula: such text gets an apostrophe in front, since
/// users choose their names. <https://owasp.org/www-community/attacks/CSV_Injection>. Unsafe
/// characters are escaped as in tables.
fn harmless(cell: String) -> Cow<'static, str> {
    let shown = Printable::whole(&cell).to_string();
    if cell.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]) {
        Cow::Owned(format!("'{shown}"))
    } else {
        Cow::Owned(shown)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn text(rows: &[&[&str]]) -> String {
        let rows = rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect());
        String::from_utf8(written(&["user", "credits"], rows).expect("written").to_vec())
            .expect("text")
    }

    #[test]
    fn what_would_break_a_line_is_quoted() {
        assert_eq!(
            text(&[&["a,b", "1"], &["say \"hi\"", "0.025"]]),
            "user,credits\r\n\"a,b\",1\r\n\"say \"\"hi\"\"\",0.025\r\n"
        );
    }

    #[test]
    fn no_cell_is_a_formula() {
        for name in ["=HYPERLINK(\"x\")", "+1", "-1", "@SUM(A1)", "\tx", "＝1"] {
            let csv = text(&[&[name, "1"]]);
            let cell = csv.lines().nth(1).expect("a row").trim_start_matches('"');
            assert!(cell.starts_with('\''), "{csv}");
        }
        assert_eq!(text(&[&["a=b", "2"]]), "user,credits\r\na=b,2\r\n");
    }

    #[test]
    fn no_name_turns_the_order_of_reading_around() {
        let csv = text(&[&["ann\u{202e}nimda\u{200b}", "1"], &["groß 図", "2"]]);
        assert_eq!(csv, "user,credits\r\nann\\u{202e}nimda\\u{200b},1\r\ngroß 図,2\r\n");
    }
}
