//! Compares the configured prices with the upstream's whenever the list of models, the prices or
//! the teams change. Runs once per process.
//!
//! Uses the cached list and causes no request of its own. Only where the account's balance is read
//! (`upstream.reconcile`), the list is fetched as often as that, so that prices are compared even
//! if no caller requests it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio_util::sync::CancellationToken;

use super::{Answers, listing};
use crate::live::Live;
use crate::pricing::{Compared, PriceTable, State, compare};
use crate::team::{Team, TeamId};

/// How often to check for changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most models named in the log.
const NAMED_MAX: usize = 20;

/// Counts compared prices.
pub trait Observer: Send + Sync + 'static {
    /// Sets how many models are in this state.
    fn prices(&self, state: State, models: usize);
}

/// The teams, by name.
type Teams = HashMap<TeamId, Arc<Team>>;

/// The watcher of prices.
pub struct Watch {
    /// Source of the list of models.
    pub answers: Answers,
    /// The teams and the models they may use.
    pub teams: Live<Teams>,
    /// Where results are reported.
    pub observer: Arc<dyn Observer>,
}

/// What was last compared.
struct Inputs {
    etag: HeaderValue,
    prices: Arc<PriceTable>,
    teams: Arc<Teams>,
}

impl Watch {
    /// Runs until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let (mut inputs, mut fetched_at) = (None, None);
        loop {
            self.ask(&mut fetched_at).await;
            self.look(&mut inputs);
            if stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// Fetches the list when it is due.
    async fn ask(&self, fetched_at: &mut Option<Duration>) {
        let Some(every) = self.answers.reconciled_every() else { return };
        let now = self.answers.now();
        if fetched_at.is_none_or(|at| now.saturating_sub(at) >= every) {
            *fetched_at = Some(now);
            self.answers.fetch_list().await;
        }
    }

    fn look(&self, inputs: &mut Option<Inputs>) {
        let Some(list) = self.answers.list() else { return };
        let (prices, teams) = (self.answers.prices(), self.teams.read());
        let is_same = |inputs: &Inputs| {
            inputs.etag == list.etag
                && Arc::ptr_eq(&inputs.prices, &prices)
                && Arc::ptr_eq(&inputs.teams, &teams)
        };
        if inputs.as_ref().is_some_and(is_same) {
            return;
        }
        let listed = listing::prices(&list.body, &self.answers.fields(), &prices);
        if !listed.is_empty() {
            let may_be_used = |model: &_| teams.values().any(|team| team.models.allow(model));
            self.report(&compare(&prices, &listed, may_be_used));
        }
        *inputs = Some(Inputs { etag: list.etag.clone(), prices, teams });
    }

    fn report(&self, compared: &[Compared]) {
        let of = |state| compared.iter().filter(move |one| one.state == state);
        for state in State::ALL {
            self.observer.prices(state, of(state).count());
        }
        let named = |state| {
            of(state).take(NAMED_MAX).map(|one| one.model.as_str()).collect::<Vec<_>>().join(" ")
        };
        if compared.iter().any(|one| one.state != State::Same) {
            tracing::warn!(
                cheaper = named(State::Cheaper),
                dearer = named(State::Dearer),
                other_unit = named(State::OtherUnit),
                missing = named(State::Missing),
                unlisted = named(State::Unlisted),
                "prices differ from the upstream's catalogue: moongate prices shows them"
            );
        }
    }
}
