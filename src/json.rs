//! Message for a body that should be JSON and is not.

/// Explains why a body is not one JSON object. Quotes the parser only if its message is about a
/// member, and without the position, which does not help with a body that a program wrote.
#[must_use]
pub fn wrong_body(body: &[u8], error: &serde_json::Error) -> String {
    if !error.is_data() {
        return "the body is not valid JSON".to_owned();
    }
    if body.trim_ascii_start().first() != Some(&b'{') {
        return "the body must be one JSON object".to_owned();
    }
    let words = error.to_string();
    words.split(" at line ").next().unwrap_or(&words).to_owned()
}
