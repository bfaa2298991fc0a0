//! The operator's API: whoever has a token may look, whoever has one of role `write` may change, and every change is
//! written down.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode, request};
use http_body::Body;

use super::accounts::Accounts;
use super::call::{Call, Changed, page};
use super::keys::Keys;
use super::routes::{self, Change, Page, Read};
use super::teams::Teams;
use super::token::{Role, Token, Tokens};
use super::{export, upstream_keys, usage};
use crate::clock::Clock;
use crate::http::Answer;
use crate::identity::{RegistrySync, Store, throttle};
use crate::ledger::Ledger;
use crate::live::Live;
use crate::refusal::Refusal;
use crate::request::{RequestId, framing, path};
use crate::team::{Team, TeamId};
use crate::telemetry::AuditLog;
use crate::telemetry::audit_log::Entry;
use crate::upstream::Upstream;

/// RFC 9512.
const YAML: &str = "application/yaml";
/// All headers of a request together.
const HEADER_BYTES_MAX: usize = 64 * 1024;
const OPENAPI: &str = include_str!("openapi.json");

/// What is under `/admin`. Clones are the same.
#[derive(Clone)]
pub struct Api {
    shown: Live<Shown>,
    accounts: Accounts,
    audit_log: AuditLog,
    keys: Keys,
    teams: Teams,
    tokens: Tokens,
    upstream: Live<Upstream>,
    clock: Clock,
}

/// What the API is put together from. The handles are those of the operator's own runtime.
pub struct Parts {
    /// Who may use it, and what it shows of the configuration.
    pub shown: Live<Shown>,
    /// Where changes are written down.
    pub audit_log: AuditLog,
    /// What operators decided while running.
    pub registrar: Arc<RegistrySync>,
    /// Where that is kept.
    pub store: Arc<dyn Store>,
    /// What was spent.
    pub ledger: Arc<dyn Ledger>,
    /// The teams.
    pub teams: Live<HashMap<TeamId, Arc<Team>>>,
    /// The shared keys.
    pub upstream: Live<Upstream>,
    /// The time.
    pub clock: Clock,
}

/// What a reload replaces of it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Who may see what is under `/admin`. Nobody, while there are none: then there is no such path.
    pub tokens: Vec<Token>,
    /// The effective configuration as YAML, secrets blanked.
    pub configuration: String,
    /// By which names the listener may be called beside this machine's own.
    pub hosts: Vec<String>,
    /// How wrong tokens are answered.
    pub throttle: throttle::Settings,
}

impl Api {
    /// Puts the pages together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { shown, audit_log, registrar, store, ledger, teams, upstream, clock } = parts;
        let accounts = Accounts::new(Arc::clone(&ledger), teams.clone());
        let keys = Keys {
            registrar: Arc::clone(&registrar),
            store: Arc::clone(&store),
            teams: teams.clone(),
            clock: clock.clone(),
        };
        let teams = Teams { registrar, store, ledger, teams };
        let tokens = Tokens::new(audit_log.clone(), clock.clone());
        Self { shown, accounts, audit_log, keys, teams, tokens, upstream, clock }
    }

    /// Answers a request for a path under `/admin`.
    ///
    /// # Errors
    /// Before anything is told about a path, even whether there is one: `credential_*`, `rate_limited` after too many wrong ones, or
    /// `route_not_found` while there are no tokens. Then what is wrong with the request, then what the page itself refuses.
    pub async fn answer<B>(&self, request: Request<B>, id: &RequestId, from: IpAddr) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes, Error: Into<tower::BoxError>>,
    {
        let (head, body) = request.into_parts();
        let token = self.token(&head, id, from).await?;
        framing::check(&head, HEADER_BYTES_MAX)?;
        let (route, parameters) = routes::find(routes::TABLE, &head.method, &path::plain(head.uri.path())?)?;
        let call = Call::new(route.query, parameters, head.uri.query())?;
        match route.page {
            Page::Read(asked) => self.read(asked, &call).await,
            Page::Change(wanted) => {
                token.may(Role::Write)?;
                let call = call.with_body(&head.headers, body).await?;
                let changed = self.change(wanted, &call, &token).await?;
                self.write_down(wanted, &token, id, &changed);
                changed.answer
            }
        }
    }

    /// By which names the listener may be called beside this machine's own.
    pub(super) fn hosts(&self) -> Vec<String> {
        self.shown.read().hosts.clone()
    }

    async fn token(&self, head: &request::Parts, id: &RequestId, from: IpAddr) -> Result<Token, Refusal> {
        let shown = self.shown.read();
        if shown.tokens.is_empty() {
            return Err(Refusal::RouteNotFound);
        }
        self.tokens.operator(&head.headers, &shown.tokens, &shown.throttle, id, from).await
    }

    async fn read(&self, asked: Read, call: &Call) -> Result<Answer, Refusal> {
        match asked {
            Read::Configuration => Ok(page(StatusCode::OK, YAML, self.shown.read().configuration.clone())),
            Read::OpenApi => Ok(page(StatusCode::OK, "application/json", OPENAPI)),
            Read::Usage => usage::answer(&self.accounts, &self.upstream.read(), &self.keys.registrar, call).await,
            Read::Ledger => export::answer(&self.accounts, &self.keys.registrar, call).await,
            Read::Teams => self.teams.list().await,
            Read::Team => self.teams.show(call).await,
            Read::Keys => self.keys.list(call).await,
            Read::Key => self.keys.show(call).await,
            Read::UpstreamKeys => upstream_keys::list(&self.upstream.read().keys, self.clock.now()),
        }
    }

    async fn change(&self, wanted: Change, call: &Call, token: &Token) -> Result<Changed, Refusal> {
        match wanted {
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

    fn write_down(&self, wanted: Change, token: &Token, id: &RequestId, changed: &Changed) {
        self.audit_log.write(&Entry {
            at: self.clock.now(),
            id,
            operator: &token.name,
            action: wanted.name(),
            subject: &changed.subject,
            before: &changed.before,
            after: &changed.after,
            is_certain: changed.answer.is_ok(),
        });
    }
}
