//! Records of one team in the simulated keeper.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::ledger::keeper::{CellName, LeftMark, Past, TeamRecord};
use crate::ledger::machine::{ReservationRecord, Revision, ScopeName, ScopeRecord, TopUpRecord};
use crate::ledger::{ReservationId, Row, Sums, TopUpId};

/// All records of the team.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) revision: Option<Revision>,
    /// How often calls were marked.
    pub(super) marks: u64,
    /// The process that asked to go first, and until when the others let it.
    pub(super) turn: Option<(u64, i64)>,
    pub(super) team: TeamRecord,
    pub(super) scopes: BTreeMap<ScopeName, ScopeRecord>,
    pub(super) calls: BTreeMap<ReservationId, ReservationRecord>,
    pub(super) due: BTreeMap<ReservationId, i64>,
    pub(super) ends: BTreeMap<Past, i64>,
    pub(super) restored: BTreeSet<ReservationId>,
    pub(super) days: BTreeMap<String, u64>,
    pub(super) top_ups: BTreeMap<TopUpId, TopUpRecord>,
    pub(super) cells: BTreeMap<CellName, Sums>,
    /// Newest first: of calls with a cost, and of calls without.
    pub(super) rows: [VecDeque<Row>; 2],
    /// Whether the team is in the store's set of teams.
    pub(super) is_noted: bool,
    /// Marks, each with its expiry. Without its mark a team is not made.
    pub(super) left_marks: BTreeMap<LeftMark, i64>,
}
