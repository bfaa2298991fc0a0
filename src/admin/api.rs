//! Operator's API: any token may read, a token of role `write` may change, and every change gets an
//! audit line.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode, request};
use http_body::Body;
use serde_json::json;

use super::accounts::Accounts;
use super::call::{self, Call, Changed, page};
use super::changes::{ChangeView, Changes};
use super::keys::Keys;
use super::routes::{self, Change, Page, Read};
use super::teams::Teams;
use super::token::{Role, Token, Tokens};
use super::{calls, export, levels, queue, refusals, upstream_keys, usage};
use crate::clock::Clock;
use crate::http::Answer;
use crate::identity::{RegistrySync, Store, throttle};
use crate::ledger::Ledger;
use crate::live::Live;
use crate::permits::Permits;
use crate::refusal::Refusal;
use crate::refused;
use crate::request::{RequestId, framing, path};
use crate::team::{Team, TeamId};
use crate::telemetry::AuditLog;
use crate::telemetry::audit_log::{Denied, Entry};
use crate::upstream::Upstream;

/// RFC 9512.
const YAML: &str = "application/yaml";
/// Most bytes of a request's headers.
const HEADER_BYTES_MAX: usize = 64 * 1024;
const OPENAPI: &str = include_str!("openapi.json");

/// The API under `/admin`. Clones share state.
#[derive(Clone)]
pub struct Api {
    shown: Live<Shown>,
    accounts: Accounts,
    audit_log: AuditLog,
    changes: Changes,
    keys: Keys,
    teams: Teams,
    tokens: Tokens,
    upstream: Live<Upstream>,
    permits: Arc<dyn Permits>,
    refused: Arc<dyn refused::Store>,
    clock: Clock,
}

/// Parts of the API. The handles belong to the operator's own runtime.
pub struct Parts {
    /// Tokens, and the parts of the configuration that it shows.
    pub shown: Live<Shown>,
    /// Audit log of changes.
    pub audit_log: AuditLog,
    /// Keys and suspensions that operators changed at run time.
    pub registry_sync: Arc<RegistrySync>,
    /// Store of those.
    pub store: Arc<dyn Store>,
    /// Spending.
    pub ledger: Arc<dyn Ledger>,
    /// The teams.
    pub teams: Live<HashMap<TeamId, Arc<Team>>>,
    /// The shared keys.
    pub upstream: Live<Upstream>,
    /// What is left of the shared account's windows.
    pub permits: Arc<dyn Permits>,
    /// Calls that were refused lately.
    pub refused: Arc<dyn refused::Store>,
    /// The time.
    pub clock: Clock,
}

/// The part that a reload replaces.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Tokens of operators. With none, everything under `/admin` is 404.
    pub tokens: Vec<Token>,
    /// The effective configuration as YAML, secrets blanked.
    pub configuration: String,
    /// Host names that the listener accepts besides this machine's own.
    pub hosts: Vec<String>,
    /// How wrong tokens are throttled.
    pub throttle: throttle::Settings,
}

impl Api {
    /// Builds the API.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { shown, audit_log, registry_sync, store, ledger, teams, .. } = parts;
        let (upstream, permits) = (parts.upstream, parts.permits);
        let (refused, clock) = (parts.refused, parts.clock);
        let accounts = Accounts::new(Arc::clone(&ledger), teams.clone());
        let keys = Keys {
            registry_sync: Arc::clone(&registry_sync),
            store: Arc::clone(&store),
            teams: teams.clone(),
            clock: clock.clone(),
        };
        let changes = Changes(Arc::clone(&store));
        let teams = Teams { registry_sync, store, ledger, teams };
        let tokens = Tokens::new(audit_log.clone(), clock.clone());
        Self {
            shown,
            accounts,
            audit_log,
            changes,
            keys,
            teams,
            tokens,
            upstream,
            permits,
            refused,
            clock,
        }
    }

    /// Answers a request under `/admin`.
    ///
    /// # Errors
    /// First, before anything about a path is shown, even whether it exists: `credential_*`,
    /// `rate_limited` after too many wrong tokens, or `route_not_found` when there are no tokens.
    /// Then refusals of the request's form, then the page's own.
    pub async fn answer<B>(
        &self,
        request: Request<B>,
        id: &RequestId,
        from: IpAddr,
    ) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes, Error: Into<tower::BoxError>>,
    {
        let (head, body) = request.into_parts();
        let token = self.token(&head, id, from).await?;
        framing::check(&head, HEADER_BYTES_MAX)?;
        let (route, parameters) =
            routes::find(routes::TABLE, &head.method, &path::plain(head.uri.path())?)?;
        let call = Call::new(route.query, parameters, head.uri.query())?;
        match route.page {
            Page::Read(what) => self.read(what, &call, &token).await,
            Page::Change(change) => {
                let attempt = async {
                    token.may(Role::Write)?;
                    let call = call.with_body(&head.headers, body).await?;
                    self.change(change, &call, &token).await
                };
                let changed = attempt.await.inspect_err(|refusal| {
                    self.audit_log.denied(&Denied {
                        at: self.clock.now(),
                        id,
                        operator: &token.name,
                        action: change.name(),
                        path: head.uri.path(),
                        code: refusal.kind().code,
                        from,
                    });
                })?;
                self.write_down(change, &token, id, &changed);
                let view = self.view(change, &token, id, &changed);
                self.changes.add(view).await;
                changed.answer
            }
        }
    }

    /// Host names that the listener accepts besides this machine's own.
    pub(super) fn hosts(&self) -> Vec<String> {
        self.shown.read().hosts.clone()
    }

    /// Whether there are operators, who may use their pages.
    ///
    /// # Errors
    /// `route_not_found` while there are no tokens.
    pub(super) fn is_there(&self) -> Result<(), Refusal> {
        if self.shown.read().tokens.is_empty() { Err(Refusal::RouteNotFound) } else { Ok(()) }
    }

    async fn token(
        &self,
        head: &request::Parts,
        id: &RequestId,
        from: IpAddr,
    ) -> Result<Token, Refusal> {
        self.is_there()?;
        let shown = self.shown.read();
        self.tokens.operator(&head.headers, &shown.tokens, &shown.throttle, id, from).await
    }

    async fn read(&self, what: Read, call: &Call, token: &Token) -> Result<Answer, Refusal> {
        match what {
            Read::Configuration => {
                Ok(page(StatusCode::OK, YAML, self.shown.read().configuration.clone()))
            }
            Read::Whoami => call::json(
                StatusCode::OK,
                &json!({ "name": token.name, "role": token.role.name() }),
            ),
            Read::OpenApi => Ok(page(StatusCode::OK, "application/json", OPENAPI)),
            Read::Usage => {
                usage::answer(&self.accounts, &self.upstream.read(), &self.keys.registry_sync, call)
                    .await
            }
            Read::Ledger => export::answer(&self.accounts, &self.keys.registry_sync, call).await,
            Read::Teams => self.teams.list().await,
            Read::Team => self.teams.show(call).await,
            Read::Keys => self.keys.list(call).await,
            Read::Key => self.keys.show(call).await,
            Read::Limits => levels::answer(&self.teams, call).await,
            Read::Refusals => refusals::answer(&self.teams, &*self.refused, call).await,
            Read::Call => calls::answer(&self.accounts, &self.keys.registry_sync, call).await,
            Read::Changes => self.changes.list().await,
            Read::Queue => {
                let (upstream, permits) = (self.upstream.read(), &*self.permits);
                queue::answer(&self.accounts, &self.teams, &upstream, permits).await
            }
            Read::UpstreamKeys => upstream_keys::list(&self.upstream.read().keys, self.clock.now()),
        }
    }

    async fn change(&self, change: Change, call: &Call, token: &Token) -> Result<Changed, Refusal> {
        match change {
            Change::SuspendTeam => self.teams.suspend(call).await,
            Change::ResumeTeam => self.teams.resume(call).await,
            Change::TopUpTeam => self.teams.top_up(call).await,
            Change::AcceptLoss => self.teams.accept_loss(call).await,
            Change::AcceptEveryLoss => self.teams.accept_every_loss(call).await,
            Change::CreateKey => self.keys.create(call, token).await,
            Change::RotateKey => self.keys.rotate(call).await,
            Change::RevokeKey => self.keys.revoke(call).await,
        }
    }

    fn view(&self, change: Change, token: &Token, id: &RequestId, changed: &Changed) -> ChangeView {
        ChangeView {
            at: self.clock.now(),
            request_id: id.as_str().to_owned(),
            operator: token.name.to_string(),
            action: change.name().to_owned(),
            subject: changed.subject.clone(),
            before: changed.before.clone(),
            after: changed.after.clone(),
            certain: changed.answer.is_ok(),
        }
    }

    fn write_down(&self, change: Change, token: &Token, id: &RequestId, changed: &Changed) {
        self.audit_log.write(&Entry {
            at: self.clock.now(),
            id,
            operator: &token.name,
            action: change.name(),
            subject: &changed.subject,
            before: &changed.before,
            after: &changed.after,
            is_certain: changed.answer.is_ok(),
        });
    }
}
