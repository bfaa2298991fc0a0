//! What a ledger tells beside its answers, for whoever counts it: the ledger knows no metrics.

use super::{Crossing, Swept, SweptCharge};
use crate::store;
use crate::team::TeamId;

/// Is told what happens in a ledger, beside what its store tells. Called on the path of every call: must not block.
pub trait Observer: store::Observer {
    /// So many operations of one team were sent together.
    fn batch(&self, size: usize);

    /// Reservations that their holders had left behind were ended, by a sweep or beside an admission, and this was
    /// charged.
    fn swept(&self, team: &TeamId, swept: Swept, charges: &[SweptCharge]);

    /// A reservation that nobody had heard of was released: whoever asked for it had gone, or its answer was lost.
    fn abandoned(&self, _team: &TeamId) {}

    /// A team's budget has come to its soft threshold. Told once a window over all processes, by the one whose call it
    /// was.
    fn crossed(&self, team: &TeamId, crossing: &Crossing);

    /// The store has lost writes of a team, and goes on under another epoch. Told once a loss by each process.
    fn epoch_changed(&self, team: &TeamId);
}

impl Observer for store::Unobserved {
    fn batch(&self, _size: usize) {}

    fn swept(&self, _team: &TeamId, _swept: Swept, _charges: &[SweptCharge]) {}

    fn crossed(&self, _team: &TeamId, _crossing: &Crossing) {}

    fn epoch_changed(&self, _team: &TeamId) {}
}
