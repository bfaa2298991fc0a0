//! Whether what the keeper says of a team shows that it has lost something that this process has seen.

use super::cache::TeamCache;
use super::step::Found;

/// Whether the keeper has lost something that this process has seen in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    None,
    /// Nobody has noticed it before.
    Lost,
    /// Another process has noticed it and begun a new epoch.
    LostBefore,
    /// Nothing; but another server has taken over, and a new epoch has begun there.
    TakenOver,
}

impl TeamCache {
    /// What the keeper's records say about what this process has seen of them.
    pub(super) fn hears_of(&self, found: &Found, marks: u64) -> News {
        let known = self.memory.as_ref().map_or(self.revision, |memory| memory.last.max(self.revision));
        let loss = found.team.loss.as_ref();
        match found.revision.zip(loss).filter(|(revision, _)| revision.epoch > known.epoch) {
            _ if known.epoch == 0 => return News::None,
            // Somebody who has seen less has noticed it already.
            Some((revision, loss)) if loss.is_news(known, revision) => return News::LostBefore,
            // A copy has taken over, and those who went on with it missed nothing.
            Some((_, loss)) if loss.lacks(known) || loss.lacks_marks(self.seen_marks()) => return News::Lost,
            Some(_) => return News::TakenOver,
            None => {}
        }
        match found.revision {
            Some(revision) if revision.epoch == self.revision.epoch => {
                // One of the same number that another step made: an older copy has gone on without this process.
                let is_another = revision.number == self.revision.number && revision != self.revision;
                let is_behind = revision < self.revision || is_another;
                if is_behind || self.lacks_marks(marks) { News::Lost } else { News::None }
            }
            // Nothing, an older copy, or a team that somebody has begun who knew nothing of this one.
            Some(_) | None => News::Lost,
        }
    }

    /// Whether the keeper, at the same epoch, has lost how far some call had come.
    pub(super) const fn lacks_marks(&self, marks: u64) -> bool {
        marks < self.marks
    }

    /// How often calls had been marked when the team was last seen, be it before a loss that nobody has noted yet.
    fn seen_marks(&self) -> u64 {
        let before = self.memory.as_ref().filter(|_| self.revision.epoch == 0);
        before.map_or(self.marks, |memory| memory.marks)
    }
}

#[cfg(test)]
#[path = "news_tests.rs"]
mod tests;
