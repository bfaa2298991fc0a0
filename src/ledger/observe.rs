//! What a ledger reports to metrics.

use super::{Crossing, Swept, SweptCharge};
use crate::store;
use crate::team::TeamId;

/// Reports from a ledger, in addition to those from its store. Called on the path of every call, so
/// it must not block.
pub trait Observer: store::Observer {
    /// Reports how many operations of one team were sent together.
    fn batch(&self, size: usize);

    /// Reports abandoned reservations that a sweep or an admission ended, and what was charged.
    fn swept(&self, team: &TeamId, swept: Swept, charges: &[SweptCharge]);

    /// Reports an abandoned reservation that was released: its caller had left, or the answer was
    /// lost.
    fn abandoned(&self, _team: &TeamId) {}

    /// Reports that a team's budget has reached its soft threshold. Once per window over all
    /// processes, by the one whose call reached it.
    fn crossed(&self, team: &TeamId, crossing: &Crossing);

    /// Reports that the store has lost writes of a team, which begins a new epoch. Once per loss by
    /// each process.
    fn epoch_changed(&self, team: &TeamId);
}

impl Observer for store::Unobserved {
    fn batch(&self, _size: usize) {}

    fn swept(&self, _team: &TeamId, _swept: Swept, _charges: &[SweptCharge]) {}

    fn crossed(&self, _team: &TeamId, _crossing: &Crossing) {}

    fn epoch_changed(&self, _team: &TeamId) {}
}
