//! Names of users that can be suspended or topped up.

use jiff::civil::Date;

use super::teams::Teams;
use crate::printable;
use crate::refusal::Refusal;
use crate::team::{Team, UserId};

impl Teams {
    /// Checks that a name may mean a user of the team.
    ///
    /// A name with white space at its ends is a mistake, since it looks like another. But an
    /// issuer's tokens may contain such a name, and an existing user can be suspended, resumed and
    /// topped up: so it is accepted if it is known.
    ///
    /// # Errors
    /// `invalid_body`: it may not; `ledger_unavailable`.
    pub(super) async fn may_mean(&self, team: &Team, user: &UserId) -> Result<(), Refusal> {
        if printable::is_trimmed(user.as_str())
            || self.is_named(team, user)
            || self.has_called(team, user).await?
        {
            return Ok(());
        }
        let problem = format!(
            "user: must not begin or end with white space; the team has no user {:?}",
            user.as_str()
        );
        Err(Refusal::InvalidBody(vec![problem]))
    }

    /// Whether an operator, the configuration or a gateway key names the user.
    fn is_named(&self, team: &Team, user: &UserId) -> bool {
        let registry = self.registry_sync.registry();
        team.suspended_users.contains(user)
            || registry
                .suspension(&team.id)
                .is_some_and(|suspension| suspension.users.contains(user.as_str()))
            || registry
                .keys()
                .any(|key| key.record.team == team.id && key.record.user.as_ref() == Some(user))
    }

    async fn has_called(&self, team: &Team, user: &UserId) -> Result<bool, Refusal> {
        let usage = self.ledger.usage(&team.id, Date::MIN..=Date::MAX).await;
        Ok(usage
            .map_err(|_| Refusal::LedgerUnavailable)?
            .iter()
            .any(|cell| cell.user == user.as_str()))
    }
}
