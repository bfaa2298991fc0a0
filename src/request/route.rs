//! The table of routes of the team listener. What is not in it reaches nobody.

use http::Method;

use crate::refusal::Refusal;
use crate::team::ModelId;

/// One of our routes, with what its path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A public question, answered from the catalogue's cache.
    Catalogue(Catalogue),
    /// Answered by the gateway itself to anyone.
    Open(Open),
    /// Asked by a known caller.
    Known(Known),
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

/// What anyone may read of the gateway itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// `GET /gateway/openapi.json`.
    OpenApi,
}

/// What only a known caller may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// A paid call: `POST /api/v1/{model}`.
    Generate(ModelId),
    /// One of the team's own views.
    Account(Account),
}

/// The team's own views, answered from the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// `GET /api/credits/balance`.
    Balance,
    /// `GET /gateway/v1/me`.
    Me,
}

impl Route {
    /// Finds the route of a path whose form has been checked.
    ///
    /// # Errors
    /// `route_not_found`, `method_not_allowed`, `model_unknown` for an id that no model can have.
    pub fn find(method: &Method, path: &str) -> Result<Self, Refusal> {
        if let Some(model) = path.strip_prefix("/api/v1/") {
            let model = ModelId::parse(model).ok_or(Refusal::RouteNotFound)?;
            return allow(method, "POST", Self::Known(Known::Generate(model)));
        }
        if let Some(model) = path.strip_prefix("/api/models-config/") {
            let model = ModelId::parse(model).ok_or(Refusal::RouteNotFound)?;
            return allow(method, READ, Self::Catalogue(Catalogue::ModelConfig(model)));
        }
        let route = match path {
            "/api/models" => Self::Catalogue(Catalogue::Models),
            "/api/sample-images" => Self::Catalogue(Catalogue::SampleImages),
            "/api/credits/balance" => Self::Known(Known::Account(Account::Balance)),
            "/gateway/v1/me" => Self::Known(Known::Account(Account::Me)),
            "/gateway/openapi.json" => Self::Open(Open::OpenApi),
            _ => return Err(Refusal::RouteNotFound),
        };
        allow(method, READ, route)
    }

    /// The route's name in metrics and logs: the table's own, never the caller's path.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Catalogue(Catalogue::Models) => "/api/models",
            Self::Catalogue(Catalogue::ModelConfig(_)) => "/api/models-config/{model}",
            Self::Catalogue(Catalogue::SampleImages) => "/api/sample-images",
            Self::Open(Open::OpenApi) => "/gateway/openapi.json",
            Self::Known(Known::Generate(_)) => "/api/v1/{model}",
            Self::Known(Known::Account(Account::Balance)) => "/api/credits/balance",
            Self::Known(Known::Account(Account::Me)) => "/gateway/v1/me",
        }
    }

    /// Every name there is, so that metrics can show zeros from the start.
    pub const NAMES: [&'static str; 7] = [
        "/api/v1/{model}",
        "/api/models",
        "/api/models-config/{model}",
        "/api/sample-images",
        "/api/credits/balance",
        "/gateway/v1/me",
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
