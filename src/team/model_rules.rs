//! Rules for the models that a team or a gateway key may use.

use crate::model::ModelId;

/// Model rules: exact ids, `prefix/*` or `*`; a rule that begins with `!` denies, and wins.
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
    /// Parses rules; returns the first that is malformed as the error. No rules allow nothing.
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
