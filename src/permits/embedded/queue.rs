//! Queue for the shared account, in memory, since its callers are in this process.

use std::collections::{BTreeSet, HashMap};

use crate::permits::{AccountLimits, Ask, KeyName, PermitId};
use crate::team::TeamId;

/// Added to a team's virtual finish by one call at weight 1.
const STEP: u64 = 1_000_000;

/// The queue, and permits that can still be given back.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(super) entries: HashMap<PermitId, Entry>,
    /// Waiting calls by virtual finish.
    pub(super) order: BTreeSet<(u64, PermitId)>,
    pub(super) deadlines: BTreeSet<(i64, PermitId)>,
    pub(super) teams: HashMap<TeamId, TeamInQueue>,
    pub(super) virtual_time: u64,
}

/// A team in the queue.
#[derive(Debug, Default)]
pub(super) struct TeamInQueue {
    finish: u64,
    count: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    deadline: i64,
    pub(super) state: State,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    Waiting {
        tag: u64,
        ask: Ask,
    },
    /// If its worker does not ask about it in time, it is given back.
    Granted {
        key: KeyName,
        at: i64,
        is_known: bool,
    },
}

impl Queue {
    pub(super) fn put(&mut self, id: PermitId, deadline: i64, state: State) {
        if let Some(before) = self.entries.insert(id, Entry { deadline, state }) {
            self.deadlines.remove(&(before.deadline, id));
        }
        self.deadlines.insert((deadline, id));
    }

    pub(super) fn take(&mut self, id: PermitId) -> Option<State> {
        let entry = self.entries.remove(&id)?;
        self.deadlines.remove(&(entry.deadline, id));
        if let State::Waiting { tag, ask } = &entry.state {
            self.leave(*tag, id, &ask.team);
        }
        Some(entry.state)
    }

    pub(super) fn leave(&mut self, tag: u64, id: PermitId, team: &TeamId) {
        self.order.remove(&(tag, id));
        if let Some(team) = self.teams.get_mut(team) {
            team.count = team.count.saturating_sub(1);
        }
    }

    /// Whether the call has a position now; `false` when the queue is full.
    pub(super) fn join(&mut self, ask: &Ask, limits: &AccountLimits, deadline: i64) -> bool {
        let team = self.teams.entry(ask.team.clone()).or_default();
        let is_full =
            self.order.len() as u64 >= limits.length_max || team.count >= limits.team_length_max;
        if is_full && !ask.turned_back {
            return false;
        }
        let tag = if ask.turned_back {
            self.virtual_time
        } else {
            team.finish = self.virtual_time.max(team.finish) + STEP / u64::from(ask.weight.max(1));
            team.finish
        };
        team.count += 1;
        self.order.insert((tag, ask.id));
        self.put(ask.id, deadline, State::Waiting { tag, ask: ask.clone() });
        true
    }
}
