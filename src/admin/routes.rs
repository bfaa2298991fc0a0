//! Route table of the operator's API, with the access that each route needs. Any other path is 404.

use http::Method;

use super::call::Parameters;
use super::{export, usage};
use crate::refusal::Refusal;

/// A page under `/admin/v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// `GET`, with any token; changes nothing.
    Read(Read),
    /// `POST`, with a token of role `write`; leaves an audit line.
    Change(Change),
}

/// Pages that read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The configuration in force, without secrets.
    Configuration,
    /// Name and role of the request's token.
    Whoami,
    /// The description of this API.
    OpenApi,
    /// Totals of calls in a period.
    Usage,
    /// A team's rows.
    Ledger,
    /// Every team with the status of its limits.
    Teams,
    /// One team.
    Team,
    /// Every gateway key.
    Keys,
    /// One gateway key.
    Key,
    /// Status of the limits of every level of a team.
    Limits,
    /// Calls of a team that were refused lately.
    Refusals,
    /// One call, whichever team made it.
    Call,
    /// What operators changed lately.
    Changes,
    /// The queue for the shared account.
    Queue,
    /// The shared keys.
    UpstreamKeys,
}

/// Pages that change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Suspends a team, or one of its users.
    SuspendTeam,
    /// Resumes it.
    ResumeTeam,
    /// Tops up a prepaid budget.
    TopUpTeam,
    /// Accepts what the store has lost of a team.
    AcceptLoss,
    /// The same for every team.
    AcceptEveryLoss,
    /// Makes a gateway key.
    CreateKey,
    /// Gives a gateway key a new secret.
    RotateKey,
    /// Revokes a gateway key.
    RevokeKey,
}

impl Change {
    /// The `action` in the audit line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SuspendTeam => "suspend_team",
            Self::ResumeTeam => "resume_team",
            Self::TopUpTeam => "top_up_team",
            Self::AcceptLoss => "accept_loss",
            Self::AcceptEveryLoss => "accept_every_loss",
            Self::CreateKey => "create_key",
            Self::RotateKey => "rotate_key",
            Self::RevokeKey => "revoke_key",
        }
    }
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Path; a segment in braces is a parameter, 1 to 128 of `[A-Za-z0-9._-]`.
    pub path: &'static str,
    /// Page.
    pub page: Page,
    /// Accepted query parameters.
    pub query: &'static [&'static str],
}

const fn read(path: &'static str, read: Read) -> Route {
    Route { path, page: Page::Read(read), query: &[] }
}

const fn change(path: &'static str, change: Change) -> Route {
    Route { path, page: Page::Change(change), query: &[] }
}

impl Route {
    const fn asking(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }
}

/// Every route.
pub const TABLE: &[Route] = &[
    read("/admin/v1/config", Read::Configuration),
    read("/admin/v1/whoami", Read::Whoami),
    read("/admin/v1/openapi.json", Read::OpenApi),
    Route { path: "/admin/v1/usage", page: Page::Read(Read::Usage), query: usage::QUERY },
    Route { path: "/admin/v1/ledger", page: Page::Read(Read::Ledger), query: export::QUERY },
    read("/admin/v1/teams", Read::Teams),
    read("/admin/v1/teams/{team}", Read::Team),
    read("/admin/v1/teams/{team}/limits", Read::Limits),
    read("/admin/v1/teams/{team}/refusals", Read::Refusals),
    change("/admin/v1/teams/{team}/suspend", Change::SuspendTeam),
    change("/admin/v1/teams/{team}/resume", Change::ResumeTeam),
    change("/admin/v1/teams/{team}/topup", Change::TopUpTeam),
    change("/admin/v1/teams/{team}/accept-loss", Change::AcceptLoss),
    change("/admin/v1/accept-loss", Change::AcceptEveryLoss),
    read("/admin/v1/keys", Read::Keys).asking(&["team"]),
    change("/admin/v1/keys", Change::CreateKey),
    read("/admin/v1/keys/{key}", Read::Key),
    change("/admin/v1/keys/{key}/rotate", Change::RotateKey),
    change("/admin/v1/keys/{key}/revoke", Change::RevokeKey),
    read("/admin/v1/calls/{id}", Read::Call),
    read("/admin/v1/changes", Read::Changes),
    read("/admin/v1/queue", Read::Queue),
    read("/admin/v1/upstream-keys", Read::UpstreamKeys),
];

/// Finds the route of a path that was checked to be plain.
///
/// # Errors
/// `route_not_found`; `method_not_allowed`.
pub fn find(
    table: &'static [Route],
    method: &Method,
    path: &str,
) -> Result<(&'static Route, Parameters), Refusal> {
    let mut there =
        table.iter().filter_map(|route| Some((route, matched(route.path, path)?))).peekable();
    if there.peek().is_none() {
        return Err(Refusal::RouteNotFound);
    }
    let (mut reads, mut changes) = (false, false);
    for (route, parameters) in there {
        let methods: &[Method] = match route.page {
            Page::Read(_) => &[Method::GET, Method::HEAD],
            Page::Change(_) => &[Method::POST],
        };
        if methods.contains(method) {
            return Ok((route, parameters));
        }
        reads |= matches!(route.page, Page::Read(_));
        changes |= matches!(route.page, Page::Change(_));
    }
    let allow = match (reads, changes) {
        (true, true) => "GET, HEAD, POST",
        (true, false) => "GET, HEAD",
        (false, _) => "POST",
    };
    Err(Refusal::MethodNotAllowed { allow })
}

/// Parameters of a path; `None` when it does not match the template.
fn matched(template: &'static str, path: &str) -> Option<Parameters> {
    let mut parameters = Parameters::new();
    let (mut template, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(part), Some(given)) => {
                match part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                    Some(name) if is_plain(given) => parameters.push((name, given.to_owned())),
                    None if part == given => {}
                    Some(_) | None => return None,
                }
            }
            (Some(_), None) | (None, Some(_)) => return None,
        }
    }
}

fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[Route] = &[
        read("/admin/v1/things", Read::Configuration),
        read("/admin/v1/things/all", Read::OpenApi),
        read("/admin/v1/things/{thing}/parts/{part}", Read::Configuration),
    ];

    fn found(method: Method, path: &str) -> Result<(&'static str, Parameters), Refusal> {
        find(SAMPLE, &method, path).map(|(route, parameters)| (route.path, parameters))
    }

    #[test]
    fn a_path_is_found_with_what_it_names() {
        assert_eq!(found(Method::GET, "/admin/v1/things"), Ok(("/admin/v1/things", vec![])));
        assert_eq!(
            found(Method::HEAD, "/admin/v1/things/all"),
            Ok(("/admin/v1/things/all", vec![]))
        );
        let named = vec![("thing", "a.b-c_1".to_owned()), ("part", "2".to_owned())];
        let template = "/admin/v1/things/{thing}/parts/{part}";
        assert_eq!(found(Method::GET, "/admin/v1/things/a.b-c_1/parts/2"), Ok((template, named)));
    }

    #[test]
    fn what_is_not_in_the_table_is_not_found() {
        let long = format!("/admin/v1/things/{}/parts/2", "x".repeat(129));
        for path in [
            "/admin/v1",
            "/admin/v1/things/",
            "/admin/v1/thing",
            "/admin/v1/things/a b/parts/2",
            "//",
            &long,
        ] {
            assert_eq!(found(Method::GET, path), Err(Refusal::RouteNotFound), "{path}");
        }
        assert_eq!(found(Method::GET, "/admin/v1/things//parts/2"), Err(Refusal::RouteNotFound));
    }

    #[test]
    fn another_method_is_told_which_there_are() {
        let refused = Err(Refusal::MethodNotAllowed { allow: "GET, HEAD" });
        assert_eq!(found(Method::POST, "/admin/v1/things"), refused);
        assert_eq!(found(Method::DELETE, "/admin/v1/things/all"), refused);
    }
}
