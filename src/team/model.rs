//! Model ids, and the rules that say which of them a team may use.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A model's id: 1 to 4 segments of `[A-Za-z0-9][A-Za-z0-9._-]*` joined by `/`, at most 128 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId(Arc<str>);

impl ModelId {
    const BYTES_MAX: usize = 128;
    const SEGMENTS_MAX: usize = 4;

    /// Reads an id; `None` when it is not of the form above.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut segments = 0;
        let mut is_one_more = |segment| {
            segments += 1;
            segments <= Self::SEGMENTS_MAX && is_segment(segment)
        };
        let well_formed =
            text.len() <= Self::BYTES_MAX && text.as_bytes().split(|byte| *byte == b'/').all(&mut is_one_more);
        well_formed.then(|| Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_segment(segment: &[u8]) -> bool {
    let mut bytes = segment.iter();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model {}", self.0)
    }
}

impl Serialize for ModelId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Which models may be used: exact ids, `prefix/*` or `*`; a rule with `!` in front denies, and wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelRules {
    allowed: Vec<Pattern>,
    denied: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    All,
    Below(String),
    Exactly(ModelId),
}

impl ModelRules {
    /// Reads rules; the first that cannot be read comes back as the error. No rules at all allow nothing.
    pub fn parse<'a>(rules: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let mut parsed = Self::default();
        for rule in rules {
            match rule.strip_prefix('!') {
                Some(denied) => parsed.denied.push(Pattern::parse(denied).ok_or(rule)?),
                None => parsed.allowed.push(Pattern::parse(rule).ok_or(rule)?),
            }
        }
        Ok(parsed)
    }

    /// Whether a model may be used.
    #[must_use]
    pub fn allow(&self, model: &ModelId) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(model));
        any(&self.allowed) && !any(&self.denied)
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        match text.strip_suffix("/*") {
            Some(prefix) => ModelId::parse(prefix).map(|prefix| Self::Below(format!("{prefix}/"))),
            None => ModelId::parse(text).map(Self::Exactly),
        }
    }

    fn matches(&self, model: &ModelId) -> bool {
        match self {
            Self::All => true,
            Self::Below(prefix) => model.as_str().starts_with(prefix.as_str()),
            Self::Exactly(id) => id == model,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> ModelId {
        ModelId::parse(text).expect(text)
    }

    #[test]
    fn a_model_id_is_one_to_four_plain_segments() {
        for good in ["nano-banana", "flux/dev", "a/b/c/d", "kling/kling-2-1-master", "v1.5_x"] {
            assert!(ModelId::parse(good).is_some(), "{good}");
        }
        let too_long = "a".repeat(129);
        for bad in ["", "/", "a/", "/a", "a//b", "a/b/c/d/e", "-a", ".", "..", "a/..", "a b", "a%2fb", "é", &too_long]
        {
            assert!(ModelId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_denial_wins_over_any_permission() {
        let rules = ModelRules::parse(["flux/*", "nano-banana", "!flux/pro"]).expect("rules");
        assert!(rules.allow(&model("flux/dev")));
        assert!(rules.allow(&model("nano-banana")));
        assert!(!rules.allow(&model("flux/pro")));
        assert!(!rules.allow(&model("flux")));
        assert!(!rules.allow(&model("nano-banana/edit")));
    }

    #[test]
    fn an_empty_list_allows_nothing_and_a_star_everything() {
        assert!(!ModelRules::default().allow(&model("flux/dev")));
        assert!(ModelRules::parse(["*"]).expect("rules").allow(&model("a/b/c")));
        assert_eq!(ModelRules::parse(["flux/**"]), Err("flux/**"));
    }
}
