//! Form of a path: refused unless plain, before anything else reads it.

use std::borrow::Cow;

use crate::refusal::Refusal;

/// Escapes that could hide a separator, a dot segment or the end of a string from another parser.
const HIDING: [&str; 4] = ["%2f", "%5c", "%2e", "%00"];

/// Checks a path and merges repeated slashes.
///
/// # Errors
/// `invalid_path`: an escaped separator, dot or NUL, a backslash, a control character, or a `.` or
/// `..` segment.
pub fn plain(path: &str) -> Result<Cow<'_, str>, Refusal> {
    // No `||`, so that the compiler can vectorize.
    let is_odd = |byte: u8| (byte == b'\\') | !(b' '..0x7f).contains(&byte);
    if path.bytes().fold(false, |any, byte| any | is_odd(byte))
        || (path.contains('%') && hides_something(path))
    {
        return Err(Refusal::InvalidPath);
    }
    if path
        .as_bytes()
        .split(|byte| *byte == b'/')
        .any(|segment| segment == b"." || segment == b"..")
    {
        return Err(Refusal::InvalidPath);
    }
    if !path.as_bytes().windows(2).any(|two| two == b"//") {
        return Ok(Cow::Borrowed(path));
    }
    let mut merged = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        merged.push('/');
        merged.push_str(part);
    }
    if path.ends_with('/') {
        merged.push('/');
    }
    Ok(Cow::Owned(merged))
}

/// Finds percent signs that are themselves escaped, too: `%252e`.
fn hides_something(path: &str) -> bool {
    let lower = path.to_ascii_lowercase().replace("%25", "%");
    let again = lower.replace("%25", "%");
    HIDING.iter().any(|escape| lower.contains(escape) || again.contains(escape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_slashes_are_merged() {
        assert_eq!(plain("/api//v1///flux/dev"), Ok("/api/v1/flux/dev".into()));
        assert_eq!(plain("//"), Ok("/".into()));
        assert_eq!(plain("/api/models"), Ok("/api/models".into()));
    }

    #[test]
    fn a_path_that_hides_something_is_refused() {
        for bad in [
            "/./v1",
            "/x/../v1",
            "/api/..",
            "/%2e%2e/x",
            "/%2E/x",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/%252e%252e/x",
            "/a%25252fb",
            "/a\u{7f}b",
            "/é",
        ] {
            assert_eq!(plain(bad), Err(Refusal::InvalidPath), "{bad}");
        }
    }
}
