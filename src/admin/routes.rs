//! The table of routes of the operator's API. What is not in it is 404; what is in it says whether it reads or changes.

use http::Method;

use super::call::Parameters;
use super::{export, usage};
use crate::refusal::Refusal;

/// What can be asked under `/admin/v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// By `GET`, with any token; nothing changes.
    Read(Read),
    /// By `POST`, with a token of role `write`; leaves an audit line.
    Change(Change),
}

/// What can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The configuration in force, secrets blanked.
    Configuration,
    /// The description of this API.
    OpenApi,
    /// What the teams' calls of a period came to.
    Usage,
    /// A team's rows.
    Ledger,
    /// Every team, and how its limits stand.
    Teams,
    /// One team.
    Team,
    /// Every gateway key.
    Keys,
    /// One gateway key.
    Key,
    /// The shared keys.
    UpstreamKeys,
}

/// What can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A team, or a user of it, may not call.
    SuspendTeam,
    /// It may again.
    ResumeTeam,
    /// A prepaid budget is added to.
    TopUpTeam,
    /// What the store has lost of a team is accepted.
    AcceptLoss,
    /// The same of every team.
    AcceptEveryLoss,
    /// A gateway key is made.
    CreateKey,
    /// A gateway key gets another secret.
    RotateKey,
    /// A gateway key is taken back.
    RevokeKey,
}

impl Change {
    /// The `action` of the audit line.
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
    /// Where: a segment in braces is a parameter, 1 to 128 of `[A-Za-z0-9._-]`.
    pub path: &'static str,
    /// What.
    pub page: Page,
    /// The names that may stand in its query.
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
    read("/admin/v1/openapi.json", Read::OpenApi),
    Route { path: "/admin/v1/usage", page: Page::Read(Read::Usage), query: usage::QUERY },
    Route { path: "/admin/v1/ledger", page: Page::Read(Read::Ledger), query: export::QUERY },
    read("/admin/v1/teams", Read::Teams),
    read("/admin/v1/teams/{team}", Read::Team),
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
    read("/admin/v1/upstream-keys", Read::UpstreamKeys),
];

/// Finds the route of a path whose form has been checked.
///
/// # Errors
/// `route_not_found`; `method_not_allowed`.
pub fn find(table: &'static [Route], method: &Method, path: &str) -> Result<(&'static Route, Parameters), Refusal> {
    let mut there = table.iter().filter_map(|route| Some((route, matched(route.path, path)?))).peekable();
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

/// What stands where the template has parameters; `None` when the path is another.
fn matched(template: &'static str, path: &str) -> Option<Parameters> {
    let mut parameters = Parameters::new();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(wanted), Some(given)) => match wanted.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) if is_plain(given) => parameters.push((name, given.to_owned())),
                None if wanted == given => {}
                Some(_) | None => return None,
            },
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
        assert_eq!(found(Method::HEAD, "/admin/v1/things/all"), Ok(("/admin/v1/things/all", vec![])));
        let named = vec![("thing", "a.b-c_1".to_owned()), ("part", "2".to_owned())];
        let template = "/admin/v1/things/{thing}/parts/{part}";
        assert_eq!(found(Method::GET, "/admin/v1/things/a.b-c_1/parts/2"), Ok((template, named)));
    }

    #[test]
    fn what_is_not_in_the_table_is_not_found() {
        let long = format!("/admin/v1/things/{}/parts/2", "x".repeat(129));
        for path in ["/admin/v1", "/admin/v1/things/", "/admin/v1/thing", "/admin/v1/things/a b/parts/2", "//", &long] {
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
