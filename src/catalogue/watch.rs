//! Holds the configured prices against the upstream's, whenever its list of models, the prices or the teams have
//! changed. Once a process.
//!
//! The list is the one that the cache has: nothing is asked for it. Only where the account's balance is read
//! (`upstream.reconcile`), the list is fetched as often as that, so that it is known also while nobody asks for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio_util::sync::CancellationToken;

use super::{Answers, listing};
use crate::live::Live;
use crate::pricing::{Compared, PriceTable, State, compare};
use crate::team::{Team, TeamId};

/// How often it is looked whether anything has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many models are named in the log.
const NAMED_MAX: usize = 20;

/// Is told how the prices stand.
pub trait Observer: Send + Sync + 'static {
    /// So many models are in this state.
    fn prices(&self, state: State, models: usize);
}

/// The teams, by name.
type Teams = HashMap<TeamId, Arc<Team>>;

/// What watches the prices.
pub struct Watch {
    /// Where the list of models is had.
    pub answers: Answers,
    /// Who may use which.
    pub teams: Live<Teams>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
}

/// What was compared the last time.
struct Seen {
    etag: HeaderValue,
    prices: Arc<PriceTable>,
    teams: Arc<Teams>,
}

impl Watch {
    /// Goes on until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let (mut seen, mut asked) = (None, None);
        loop {
            self.ask(&mut asked).await;
            self.look(&mut seen);
            if stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
                return;
            }
        }
    }

    /// Fetches the list where it is due.
    async fn ask(&self, asked: &mut Option<Duration>) {
        let Some(every) = self.answers.reconciled_every() else { return };
        let now = self.answers.now();
        if asked.is_none_or(|asked| now.saturating_sub(asked) >= every) {
            *asked = Some(now);
            self.answers.fetch_list().await;
        }
    }

    fn look(&self, seen: &mut Option<Seen>) {
        let Some(list) = self.answers.list() else { return };
        let (prices, teams) = (self.answers.prices(), self.teams.read());
        let is_same = |seen: &Seen| {
            seen.etag == list.etag && Arc::ptr_eq(&seen.prices, &prices) && Arc::ptr_eq(&seen.teams, &teams)
        };
        if seen.as_ref().is_some_and(is_same) {
            return;
        }
        let listed = listing::prices(&list.body, &self.answers.fields(), &prices);
        if !listed.is_empty() {
            let may_be_used = |model: &_| teams.values().any(|team| team.models.allow(model));
            self.tell(&compare(&prices, &listed, may_be_used));
        }
        *seen = Some(Seen { etag: list.etag.clone(), prices, teams });
    }

    fn tell(&self, compared: &[Compared]) {
        let of = |state| compared.iter().filter(move |one| one.state == state);
        for state in State::ALL {
            self.observer.prices(state, of(state).count());
        }
        let named = |state| of(state).take(NAMED_MAX).map(|one| one.model.as_str()).collect::<Vec<_>>().join(" ");
        if compared.iter().any(|one| one.state != State::Same) {
            tracing::warn!(
                cheaper = named(State::Cheaper),
                dearer = named(State::Dearer),
                other_unit = named(State::OtherUnit),
                missing = named(State::Missing),
                unlisted = named(State::Unlisted),
                "prices are not as the upstream's catalogue has them: moongate prices shows them"
            );
        }
    }
}
