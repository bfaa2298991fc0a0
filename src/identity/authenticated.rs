//! Proof that a caller is authenticated. Only the layer that checked the credential can make it.

use std::sync::Arc;

use super::Principal;
use crate::request::Arrival;
use crate::request::route::AuthenticatedRoute;
use crate::team::Team;

/// A request of an authenticated caller. Its headers no longer have the credential.
#[derive(Debug)]
pub struct Authenticated<B> {
    arrival: Arrival<B>,
    route: AuthenticatedRoute,
    principal: Arc<Principal>,
    team: Arc<Team>,
}

impl<B> Authenticated<B> {
    /// Made only by the authentication layer.
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

    /// The request's route.
    #[must_use]
    pub const fn route(&self) -> &AuthenticatedRoute {
        &self.route
    }

    /// The caller.
    #[must_use]
    pub const fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The team, as configured when the request arrived.
    #[must_use]
    pub const fn team(&self) -> &Arc<Team> {
        &self.team
    }

    /// The parts of the request, for layers that no longer need the proof.
    #[must_use]
    pub fn into_parts(self) -> (Arrival<B>, AuthenticatedRoute, Arc<Principal>, Arc<Team>) {
        (self.arrival, self.route, self.principal, self.team)
    }
}
