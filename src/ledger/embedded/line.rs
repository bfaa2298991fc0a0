//! The line before the shared account, in memory: those who wait in it are in this process.

use std::collections::{BTreeSet, HashMap};

use crate::permits::{AccountLimits, Ask, KeyName, PermitId};
use crate::team::TeamId;

/// What one call of a team of weight 1 adds to its virtual finish.
const STEP: u64 = 1_000_000;

/// The line, and the permits that may still be given back.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) places: HashMap<PermitId, Held>,
    /// Those who wait, by virtual finish.
    pub(super) order: BTreeSet<(u64, PermitId)>,
    pub(super) deadlines: BTreeSet<(i64, PermitId)>,
    pub(super) teams: HashMap<TeamId, InLine>,
    pub(super) virtual_time: u64,
}

/// A team in the line.
#[derive(Debug, Default)]
pub(super) struct InLine {
    finish: u64,
    count: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Held {
    deadline: i64,
    pub(super) state: State,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    Waiting {
        tag: u64,
        ask: Ask,
    },
    /// Until its worker has heard of it, it is given back should nobody ask.
    Granted {
        key: KeyName,
        at: i64,
        heard: bool,
    },
}

impl Line {
    pub(super) fn put(&mut self, id: PermitId, deadline: i64, state: State) {
        if let Some(before) = self.places.insert(id, Held { deadline, state }) {
            self.deadlines.remove(&(before.deadline, id));
        }
        self.deadlines.insert((deadline, id));
    }

    pub(super) fn take(&mut self, id: PermitId) -> Option<State> {
        let held = self.places.remove(&id)?;
        self.deadlines.remove(&(held.deadline, id));
        if let State::Waiting { tag, ask } = &held.state {
            self.step_out(*tag, id, &ask.team);
        }
        Some(held.state)
    }

    pub(super) fn step_out(&mut self, tag: u64, id: PermitId, team: &TeamId) {
        self.order.remove(&(tag, id));
        if let Some(team) = self.teams.get_mut(team) {
            team.count = team.count.saturating_sub(1);
        }
    }

    /// Whether the ask has a place now; `false` when the line is full.
    pub(super) fn join(&mut self, ask: &Ask, limits: &AccountLimits, deadline: i64) -> bool {
        let team = self.teams.entry(ask.team.clone()).or_default();
        let is_full = self.order.len() as u64 >= limits.length_max || team.count >= limits.team_length_max;
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
