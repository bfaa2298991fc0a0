//! Parses the limits of a gateway key that the store keeps, which have the same form as in the
//! file.

use std::path::Path;

use super::check::Check;
use super::file::{File, team};
use super::report::{KeyPath, Report};
use super::schema;
use super::secrets::Sources;
use super::structure;
use super::tree::Node;
use crate::team::Limits;

/// Parses limits in the form that the file has for a team's.
///
/// # Errors
/// Every problem, with its key.
pub fn read_limits(text: &str) -> Result<Limits, Vec<String>> {
    // Most keys have no limits of their own.
    if text == "{}" {
        return Ok(Limits::default());
    }
    let tree = Node::read(text).map_err(|wrong| vec![wrong.message])?;
    let mut report = Report::default();
    let fitting = structure::fitting(&tree, &schema::of_limits(), &mut report);
    let shape: team::Limits =
        serde_json::from_value(fitting).map_err(|error| vec![error.to_string()])?;
    let nothing_to_refer_to = |_: &str| None;
    let sources = Sources::beside(Path::new(""), &nothing_to_refer_to);
    let mut check = Check::new(&File::default(), report, sources);
    let limits = check.limits(&shape, &KeyPath::root());
    let problems: Vec<String> =
        check.report.into_problems().iter().map(|problem| problem.text()).collect();
    match limits {
        Some(limits) if problems.is_empty() => Ok(limits),
        Some(_) | None => Err(problems),
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;
    use crate::team::{Limit, LimitKind};

    #[test]
    fn limits_parse_as_in_the_file_with_every_problem_reported() {
        let text = r#"{
            "requests_per_day": 100,
            "credits_per_month": {"limit": "2.5", "shadow": true},
            "concurrent": 2
        }"#;
        let limits = read_limits(text).expect("limits");
        assert_eq!(
            limits.get(LimitKind::RequestsPerDay),
            Some(&Limit::new(LimitKind::RequestsPerDay, 100))
        );
        let budget = limits.get(LimitKind::CreditsPerMonth).expect("a budget");
        assert_eq!((budget.max, budget.shadow), (2_500_000, true));
        assert_eq!(read_limits("{}").expect("none").iter().len(), 0);
        let problems = read_limits(r#"{"requests_per_dya":1,"concurrent":-1,"credits_total":"x"}"#)
            .expect_err("problems");
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems.iter().any(|problem| problem
                == "requests_per_dya: unknown key; did you mean requests_per_day?")
        );
        for wrong in ["null", "[]", "3", "{", "\"x\""] {
            assert!(read_limits(wrong).is_err(), "{wrong}");
        }
    }
}
