//! The table of routes of the team listener. What is not in it reaches nobody.

use http::Method;

use super::RequestId;
use crate::model::ModelId;
use crate::refusal::Refusal;

/// One of our routes, with what its path names.
#[derive(Clone, Debug, PartialEq)]
pub enum Route {
    /// `GET /gateway/openapi.json`: what this listener serves.
    Description,
    /// A public question, answered from the catalogue's cache.
    Catalogue(Catalogue),
    /// Asked by a known caller.
    Known(AuthenticatedRoute),
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

/// What only a known caller may ask.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthenticatedRoute {
    /// A paid call: `POST /api/v1/{model}`.
    Generate(ModelId),
    /// What such a call would cost, and whether it may be made now: `POST /gateway/v1/quote/{model}`.
    Quote(ModelId),
    /// One of the team's own views.
    Account(Account),
    /// The catalogue, where it is not public (`catalogue.public: false`).
    Catalogue(Catalogue),
    /// No route at all, asked for with a credential: refused like this whoever asks, but a known caller is told its
    /// limits.
    Nothing(Box<Refusal>),
}

/// The team's own views, answered from the ledger and from what is remembered of its calls.
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
    /// `GET /gateway/v1/requests`.
    Requests,
    /// `GET /gateway/v1/requests/{id}`: of a call by its own id, or of all that carried a request id.
    Request(RequestId),
}

impl Route {
    /// Finds the route of a path whose form has been checked.
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
            return allow(method, READ, Self::Known(AuthenticatedRoute::Account(Account::Request(id))));
        }
        let route = match path {
            "/api/models" => Self::Catalogue(Catalogue::Models),
            "/api/sample-images" => Self::Catalogue(Catalogue::SampleImages),
            "/api/credits/balance" => Self::Known(AuthenticatedRoute::Account(Account::Balance)),
            "/api/generations" => Self::Known(AuthenticatedRoute::Account(Account::Generations)),
            "/api/usage" => Self::Known(AuthenticatedRoute::Account(Account::Usage)),
            "/gateway/v1/me" => Self::Known(AuthenticatedRoute::Account(Account::Me)),
            "/gateway/v1/requests" => Self::Known(AuthenticatedRoute::Account(Account::Requests)),
            "/gateway/openapi.json" => Self::Description,
            _ => return Err(Refusal::RouteNotFound),
        };
        allow(method, READ, route)
    }

    /// The route's name in metrics and logs: the table's own, never the caller's path.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Catalogue(Catalogue::Models) | Self::Known(AuthenticatedRoute::Catalogue(Catalogue::Models)) => {
                "/api/models"
            }
            Self::Catalogue(Catalogue::ModelConfig(_))
            | Self::Known(AuthenticatedRoute::Catalogue(Catalogue::ModelConfig(_))) => "/api/models-config/{model}",
            Self::Catalogue(Catalogue::SampleImages)
            | Self::Known(AuthenticatedRoute::Catalogue(Catalogue::SampleImages)) => "/api/sample-images",
            Self::Known(AuthenticatedRoute::Generate(_)) => "/api/v1/{model}",
            Self::Known(AuthenticatedRoute::Account(Account::Balance)) => "/api/credits/balance",
            Self::Known(AuthenticatedRoute::Account(Account::Generations)) => "/api/generations",
            Self::Known(AuthenticatedRoute::Account(Account::Usage)) => "/api/usage",
            Self::Known(AuthenticatedRoute::Account(Account::Me)) => "/gateway/v1/me",
            Self::Known(AuthenticatedRoute::Quote(_)) => "/gateway/v1/quote/{model}",
            Self::Description => "/gateway/openapi.json",
            Self::Known(AuthenticatedRoute::Account(Account::Requests)) => "/gateway/v1/requests",
            Self::Known(AuthenticatedRoute::Account(Account::Request(_))) => "/gateway/v1/requests/{id}",
            Self::Known(AuthenticatedRoute::Nothing(_)) => "none",
        }
    }

    /// Every name there is, so that metrics can show zeros from the start.
    pub const NAMES: [&'static str; 12] = [
        "/api/v1/{model}",
        "/api/models",
        "/api/models-config/{model}",
        "/api/sample-images",
        "/api/credits/balance",
        "/api/generations",
        "/api/usage",
        "/gateway/v1/me",
        "/gateway/v1/quote/{model}",
        "/gateway/v1/requests",
        "/gateway/v1/requests/{id}",
        "/gateway/openapi.json",
    ];
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
        assert_eq!(found(Method::GET, "/api/models-config/flux/dev"), Ok("/api/models-config/{model}"));
        assert_eq!(found(Method::HEAD, "/api/models"), Ok("/api/models"));
        assert_eq!(found(Method::POST, "/gateway/v1/quote/flux/dev"), Ok("/gateway/v1/quote/{model}"));
        assert_eq!(found(Method::GET, "/gateway/v1/requests/a.b-1"), Ok("/gateway/v1/requests/{id}"));
        assert_eq!(found(Method::HEAD, "/gateway/v1/requests"), Ok("/gateway/v1/requests"));
        for path in
            ["/", "/api", "/api/v1", "/api/v1/", "/api/v1/-x", "/api/v1/a/b/c/d/e", "/api/generate", "/api/keys"]
        {
            assert_eq!(found(Method::POST, path), Err("route_not_found"), "{path}");
        }
        for id in ["", "a/b", "a%20b", &"x".repeat(129)] {
            let path = format!("/gateway/v1/requests/{id}");
            assert_eq!(found(Method::GET, &path), Err("route_not_found"), "{path}");
        }
    }

    #[test]
    fn a_known_path_with_another_method_is_told_apart_from_an_unknown_path() {
        assert_eq!(found(Method::GET, "/api/v1/flux/dev"), Err("method_not_allowed"));
        assert_eq!(found(Method::POST, "/api/models"), Err("method_not_allowed"));
        assert_eq!(found(Method::CONNECT, "/api/credits/balance"), Err("method_not_allowed"));
    }
}
