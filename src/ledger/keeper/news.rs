//! Compares what the keeper says of a team with what this process has seen, to find losses.

use super::cache::TeamCache;
use super::step::Found;

/// Whether the keeper lacks something that this process has seen in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    None,
    /// A loss that no process has noticed before.
    Lost,
    /// A loss that another process has noticed, which began a new epoch.
    LostBefore,
    /// No loss, but another server has taken over and begun a new epoch.
    TakenOver,
}

impl TeamCache {
    /// What the found records say about a loss.
    pub(super) fn compare(&self, found: &Found, marks: u64) -> News {
        let known =
            self.memory.as_ref().map_or(self.revision, |memory| memory.last.max(self.revision));
        let loss = found.team.loss.as_ref();
        match found.revision.zip(loss).filter(|(revision, _)| revision.epoch > known.epoch) {
            _ if known.epoch == 0 => return News::None,
            // Another process, which had seen less, has noticed the loss already.
            Some((revision, loss)) if loss.is_news(known, revision) => return News::LostBefore,
            // A copy has taken over that lacks what this process knows, which the processes there
            // could not notice.
            Some((_, loss)) if loss.lacks(known) || loss.lacks_marks(self.seen_marks()) => {
                return News::Lost;
            }
            Some(_) => return News::TakenOver,
            None => {}
        }
        match found.revision {
            Some(revision) if revision.epoch == self.revision.epoch => {
                // The same number was made by another step: an older copy has gone on without this
                // process.
                let is_another =
                    revision.number == self.revision.number && revision != self.revision;
                let is_behind = revision < self.revision || is_another;
                if is_behind || self.lacks_marks(marks) { News::Lost } else { News::None }
            }
            // The keeper has nothing, an older copy, or a team begun by a process that had never
            // seen this one.
            Some(_) | None => News::Lost,
        }
    }

    /// Whether the keeper, at the same epoch, has lost a mark.
    pub(super) const fn lacks_marks(&self, marks: u64) -> bool {
        marks < self.marks
    }

    /// The count of marked calls when the team was last seen, which may be before a loss that is
    /// not noted yet.
    fn seen_marks(&self) -> u64 {
        let before = self.memory.as_ref().filter(|_| self.revision.epoch == 0);
        before.map_or(self.marks, |memory| memory.marks)
    }
}

#[cfg(test)]
#[path = "news_tests.rs"]
mod tests;
