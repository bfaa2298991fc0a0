//! Proof that the caller is known: only the layer that checked the credential can make it.

use std::sync::Arc;

use super::Principal;
use crate::request::Arrival;
use crate::request::route::AuthenticatedRoute;
use crate::team::Team;

/// A request whose caller is known. The credential itself is gone from the headers.
#[derive(Debug)]
pub struct Authenticated<B> {
    arrival: Arrival<B>,
    route: AuthenticatedRoute,
    principal: Arc<Principal>,
    team: Arc<Team>,
}

impl<B> Authenticated<B> {
    /// Only for the layer that has just checked the credential.
    pub(super) const fn new(
        arrival: Arrival<B>,
        route: AuthenticatedRoute,
        principal: Arc<Principal>,
        team: Arc<Team>,
    ) -> Self {
        Self { arrival, route, principal, team }
    }

    /// The request.
    #[must_use]
    pub const fn arrival(&self) -> &Arrival<B> {
        &self.arrival
    }

    /// Which of the routes for known callers it is.
    #[must_use]
    pub const fn route(&self) -> &AuthenticatedRoute {
        &self.route
    }

    /// Who calls.
    #[must_use]
    pub const fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The team, as the configuration described it when the request came.
    #[must_use]
    pub const fn team(&self) -> &Arc<Team> {
        &self.team
    }

    /// The request itself, when who called is no longer needed with it.
    #[must_use]
    pub fn into_parts(self) -> (Arrival<B>, AuthenticatedRoute, Arc<Principal>, Arc<Team>) {
        (self.arrival, self.route, self.principal, self.team)
    }
}
