//! Top-ups of the model's prepaid budgets, once for each id.

use moongate::credits::Credits;
use moongate::ledger::{Scope, TopUp, ToppedUp};
use moongate::team::TeamId;

use super::Model;

impl Model {
    pub(crate) fn top_up(&mut self, team: &TeamId, wanted: &TopUp) -> ToppedUp {
        let known =
            self.top_ups.iter().find(|(whose, known)| whose == team && known.id == wanted.id);
        let (known, sum) =
            (known.map(|(_, known)| known == wanted), self.topped_up(team, &wanted.scope));
        match known {
            Some(true) => ToppedUp::Before(sum),
            Some(false) => ToppedUp::Taken,
            None if sum.micros() + wanted.credits.micros() > Credits::MAX.micros() => {
                ToppedUp::TooMuch
            }
            None => {
                self.top_ups.push((team.clone(), wanted.clone()));
                self.until.remove(&(team.clone(), wanted.scope.clone()));
                ToppedUp::Now(self.topped_up(team, &wanted.scope))
            }
        }
    }

    pub(super) fn topped_up(&self, team: &TeamId, scope: &Scope) -> Credits {
        let of_the_scope =
            self.top_ups.iter().filter(|(whose, top_up)| whose == team && top_up.scope == *scope);
        of_the_scope.map(|(_, top_up)| top_up.credits).sum()
    }
}
