//! Table of routes of the team listener. Everything else is 404.

use http::Method;

use super::RequestId;
use crate::model::ModelId;
use crate::refusal::Refusal;

/// A route, with the parameters of its path.
#[derive(Clone, Debug, PartialEq)]
pub enum Route {
    /// `GET /gateway/openapi.json`: the API of this listener.
    Description,
    /// `GET /gateway/health`: whether calls should be sent to this replica.
    Health,
    /// The team page, or a file of it.
    Page(Page),
    /// The public catalogue, answered from its cache.
    Catalogue(Catalogue),
    /// A route for authenticated callers only.
    Known(AuthenticatedRoute),
}

/// The team page and its files, which anyone may have: the page asks who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// `GET /`.
    Team,
    /// `GET /gateway/ui/{folder}/{file}`; this is `folder/file`.
    File(String),
}

/// The public catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Catalogue {
    /// `GET /api/models`.
    Models,
    /// `GET /api/models-config/{model}`.
    ModelConfig(ModelId),
    /// `GET /api/sample-images`.
    SampleImages,
}

/// Routes for authenticated callers only.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthenticatedRoute {
    /// A paid call: `POST /api/v1/{model}`.
    Generate(ModelId),
    /// The price of such a call, and whether it would be admitted now: `POST
    /// /gateway/v1/quote/{model}`.
    Quote(ModelId),
    /// One of the team's own views.
    Account(Account),
    /// The catalogue, where it is not public (`catalogue.public: false`).
    Catalogue(Catalogue),
    /// A path or method outside the table, sent with a credential: refused as always, but an
    /// authenticated caller's answer tells its limits.
    Nothing(Box<Refusal>),
}

/// Views of a team's own spending, answered from the ledger and the stored calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// `GET /api/credits/balance`.
    Balance,
    /// `GET /api/generations`.
    Generations,
    /// `GET /api/usage`.
    Usage,
    /// `GET /gateway/v1/me`.
    Me,
    /// `GET /gateway/v1/usage`.
    Spend,
    /// `GET /gateway/v1/refusals`.
    Refusals,
    /// `GET /gateway/v1/requests`.
    Requests,
    /// `GET /gateway/v1/requests/{id}`: one call by its own id, or all that carried a request id.
    Request(RequestId),
}

impl Route {
    /// Finds the route of a path that was checked to be plain.
    ///
    /// # Errors
    /// `route_not_found`, also for an id that no model or request can have; `method_not_allowed`.
    pub fn find(method: &Method, path: &str) -> Result<Self, Refusal> {
        if let Some(model) = path.strip_prefix("/api/v1/") {
            let model = ModelId::parse(model).ok_or(Refusal::RouteNotFound)?;
            return allow(method, "POST", Self::Known(AuthenticatedRoute::Generate(model)));
        }
        if let Some(model) = path.strip_prefix("/gateway/v1/quote/") {
            let model = ModelId::parse(model).ok_or(Refusal::RouteNotFound)?;
            return allow(method, "POST", Self::Known(AuthenticatedRoute::Quote(model)));
        }
        if let Some(model) = path.strip_prefix("/api/models-config/") {
            let model = ModelId::parse(model).ok_or(Refusal::RouteNotFound)?;
            return allow(method, READ, Self::Catalogue(Catalogue::ModelConfig(model)));
        }
        if let Some(id) = path.strip_prefix("/gateway/v1/requests/") {
            let id = RequestId::parse(id).ok_or(Refusal::RouteNotFound)?;
            return allow(
                method,
                READ,
                Self::Known(AuthenticatedRoute::Account(Account::Request(id))),
            );
        }
        if let Some(file) = path.strip_prefix("/gateway/ui/") {
            let file = file_name(file).ok_or(Refusal::RouteNotFound)?;
            return allow(method, READ, Self::Page(Page::File(file)));
        }
        let route = match path {
            "/" => Self::Page(Page::Team),
            "/api/models" => Self::Catalogue(Catalogue::Models),
            "/api/sample-images" => Self::Catalogue(Catalogue::SampleImages),
            "/api/credits/balance" => Self::Known(AuthenticatedRoute::Account(Account::Balance)),
            "/api/generations" => Self::Known(AuthenticatedRoute::Account(Account::Generations)),
            "/api/usage" => Self::Known(AuthenticatedRoute::Account(Account::Usage)),
            "/gateway/v1/me" => Self::Known(AuthenticatedRoute::Account(Account::Me)),
            "/gateway/v1/usage" => Self::Known(AuthenticatedRoute::Account(Account::Spend)),
            "/gateway/v1/refusals" => Self::Known(AuthenticatedRoute::Account(Account::Refusals)),
            "/gateway/v1/requests" => Self::Known(AuthenticatedRoute::Account(Account::Requests)),
            "/gateway/openapi.json" => Self::Description,
            "/gateway/health" => Self::Health,
            _ => return Err(Refusal::RouteNotFound),
        };
        allow(method, READ, route)
    }

    /// Name of the route in metrics and logs: from the table, never the caller's path.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Catalogue(Catalogue::Models)
            | Self::Known(AuthenticatedRoute::Catalogue(Catalogue::Models)) => "/api/models",
            Self::Catalogue(Catalogue::ModelConfig(_))
            | Self::Known(AuthenticatedRoute::Catalogue(Catalogue::ModelConfig(_))) => {
                "/api/models-config/{model}"
            }
            Self::Catalogue(Catalogue::SampleImages)
            | Self::Known(AuthenticatedRoute::Catalogue(Catalogue::SampleImages)) => {
                "/api/sample-images"
            }
            Self::Known(AuthenticatedRoute::Generate(_)) => "/api/v1/{model}",
            Self::Known(AuthenticatedRoute::Account(Account::Balance)) => "/api/credits/balance",
            Self::Known(AuthenticatedRoute::Account(Account::Generations)) => "/api/generations",
            Self::Known(AuthenticatedRoute::Account(Account::Usage)) => "/api/usage",
            Self::Known(AuthenticatedRoute::Account(Account::Me)) => "/gateway/v1/me",
            Self::Known(AuthenticatedRoute::Account(Account::Spend)) => "/gateway/v1/usage",
            Self::Known(AuthenticatedRoute::Quote(_)) => "/gateway/v1/quote/{model}",
            Self::Description => "/gateway/openapi.json",
            Self::Health => "/gateway/health",
            Self::Page(Page::Team) => "/",
            Self::Page(Page::File(_)) => "/gateway/ui/{folder}/{file}",
            Self::Known(AuthenticatedRoute::Account(Account::Refusals)) => "/gateway/v1/refusals",
            Self::Known(AuthenticatedRoute::Account(Account::Requests)) => "/gateway/v1/requests",
            Self::Known(AuthenticatedRoute::Account(Account::Request(_))) => {
                "/gateway/v1/requests/{id}"
            }
            Self::Known(AuthenticatedRoute::Nothing(_)) => "none",
        }
    }

    /// All names, so that metrics show zeros from the start.
    pub const NAMES: [&'static str; 17] = [
        "/api/v1/{model}",
        "/api/models",
        "/api/models-config/{model}",
        "/api/sample-images",
        "/api/credits/balance",
        "/api/generations",
        "/api/usage",
        "/gateway/v1/me",
        "/gateway/v1/usage",
        "/gateway/v1/quote/{model}",
        "/gateway/v1/refusals",
        "/gateway/v1/requests",
        "/gateway/v1/requests/{id}",
        "/gateway/openapi.json",
        "/gateway/health",
        "/",
        "/gateway/ui/{folder}/{file}",
    ];
}

/// `folder/file`, when it is that.
fn file_name(path: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_name = |name: &str| (1..=64).contains(&name.len()) && name.bytes().all(plain);
    let (folder, file) = path.split_once('/')?;
    (is_name(folder) && is_name(file)).then(|| path.to_owned())
}

const READ: &str = "GET, HEAD";

fn allow(method: &Method, methods: &'static str, route: Route) -> Result<Route, Refusal> {
    if methods.split(", ").any(|allowed| allowed == method.as_str()) {
        Ok(route)
    } else {
        Err(Refusal::MethodNotAllowed { allow: methods })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: Method, path: &str) -> Result<&'static str, &'static str> {
        Route::find(&method, path).map(|route| route.name()).map_err(|refusal| refusal.kind().code)
    }

    #[test]
    fn only_what_is_in_the_table_is_found() {
        assert_eq!(found(Method::POST, "/api/v1/flux/dev"), Ok("/api/v1/{model}"));
        assert_eq!(
            found(Method::GET, "/api/models-config/flux/dev"),
            Ok("/api/models-config/{model}")
        );
        assert_eq!(found(Method::HEAD, "/api/models"), Ok("/api/models"));
        assert_eq!(
            found(Method::POST, "/gateway/v1/quote/flux/dev"),
            Ok("/gateway/v1/quote/{model}")
        );
        assert_eq!(
            found(Method::GET, "/gateway/v1/requests/a.b-1"),
            Ok("/gateway/v1/requests/{id}")
        );
        assert_eq!(found(Method::HEAD, "/gateway/v1/requests"), Ok("/gateway/v1/requests"));
        assert_eq!(found(Method::HEAD, "/"), Ok("/"));
        assert_eq!(
            found(Method::GET, "/gateway/ui/team/main.js"),
            Ok("/gateway/ui/{folder}/{file}")
        );
        for path in [
            "/gateway/ui/",
            "/gateway/ui/main.js",
            "/gateway/ui/team/",
            "/gateway/ui/team/a/b",
            "/gateway/ui/team/%20",
            "/api",
            "/api/v1",
            "/api/v1/",
            "/api/v1/-x",
            "/api/v1/a/b/c/d/e",
            "/api/generate",
            "/api/keys",
        ] {
            assert_eq!(found(Method::POST, path), Err("route_not_found"), "{path}");
        }
        for id in ["", "a/b", "a%20b", &"x".repeat(129)] {
            let path = format!("/gateway/v1/requests/{id}");
            assert_eq!(found(Method::GET, &path), Err("route_not_found"), "{path}");
        }
    }

    #[test]
    fn a_wrong_method_is_distinguished_from_an_unknown_path() {
        assert_eq!(found(Method::GET, "/api/v1/flux/dev"), Err("method_not_allowed"));
        assert_eq!(found(Method::POST, "/api/models"), Err("method_not_allowed"));
        assert_eq!(found(Method::CONNECT, "/api/credits/balance"), Err("method_not_allowed"));
    }
}
