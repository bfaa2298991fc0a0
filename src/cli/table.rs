//! Tables for people: columns as wide as what stands in them.

use std::io::{self, Write};

/// Writes a table; numbers are not told from texts, and nothing is cut. Control characters are shown, not sent to the terminal.
///
/// # Errors
/// It cannot be written.
pub fn write(out: &mut dyn Write, titles: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let shown = |cell: &String| cell.chars().flat_map(plain).collect::<String>();
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

fn plain(character: char) -> Vec<char> {
    if character.is_control() { character.escape_default().collect() } else { vec![character] }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let mut out = Vec::new();
        let rows = [["design", "8", ""], ["groß", "100", "a\nb"]].map(|row| row.map(str::to_owned).to_vec());
        write(&mut out, &["TEAM", "USED", "NOTE"], &rows).expect("written");
        assert_eq!(String::from_utf8(out).expect("text"), "TEAM    USED  NOTE\ndesign  8\ngroß    100   a\\nb\n");
    }
}
