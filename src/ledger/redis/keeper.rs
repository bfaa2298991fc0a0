//! Redis as a keeper: one script compares and writes, on one handle's connection.

use std::time::Duration;

use super::access::{RedisKeeper, TEXT};
use super::encode::Sender;
use super::keys::Keys;
use super::message::Arguments;
use super::replication_ids::ReplicationIds;
use super::{decode, encode, trust, upgrade};
use crate::ledger::keeper::{Expected, Keeper, KeeperTime, LeftMark, Reply, Step, TrustState};
use crate::store::{self, Cmd, Link, Outage, RedisError, Replicas, Value, run_script};
use crate::team::TeamId;

/// How long, beyond a heartbeat, live replicas may take to report again after the store was down.
const SETTLE_DOWN: Duration = Duration::from_secs(1);
/// Pause of a process that lets another go first.
const PAUSE: Duration = Duration::from_micros(200);

/// Arguments of the script before the message: the expected revision and the head.
const ARGUMENTS_BEFORE: usize = 2;

impl RedisKeeper {
    fn call(
        &self,
        command: &str,
        script: &str,
        keys: &Keys,
        step: &Step,
        arguments: &Arguments,
    ) -> Cmd {
        let (many, bytes) = arguments.size();
        let head = arguments.head(step.from, step.until, ARGUMENTS_BEFORE);
        let mut call = Cmd::with_capacity(many + 7, script.len() + bytes + head.len() + 256);
        call.arg(command).arg(script);
        if let Expected::Nothing(mark) = step.expected {
            // The mark is missing if the store was emptied after the team was not found.
            call.arg(2).arg(&keys.state).arg(keys.mark(mark.name));
        } else {
            call.arg(1).arg(&keys.state);
        }
        call.arg(encode::expected(step));
        call.arg(head);
        arguments.give_to(&mut call);
        call
    }

    fn replicas<'a>(&self, step: &Step, keys: &'a Keys) -> Option<Replicas<'a>> {
        let store::Settings { wait_replicas: count, deadline, .. } = self.settings.store;
        let admits = !step.changes.opened.is_empty();
        // A script that is sent in full needs this twice, which is still within the deadline.
        (count > 0 && admits).then(|| Replicas { key: &keys.state, count, patience: deadline / 3 })
    }

    /// Sends a step; `None` when the connection leads to another server than the step is meant for.
    async fn apply(
        &self,
        link: &mut Link,
        (team, keys): (&TeamId, &Keys),
        step: &Step,
    ) -> Result<Option<(Value, u32)>, RedisError> {
        let replication = self.replication_ids.of(link, team, &keys.state).await?;
        if step.replication_id != replication && step.replication_id > 0 && replication > 0 {
            return Ok(None);
        }
        let server = ReplicationIds::to_compare(link, replication);
        let sender = Sender { server, process: &self.process.name, now: self.client.fixed_now() };
        let arguments = encode::arguments(step, &sender, keys, &self.settings.retention);
        let call = |command: &str, script: &str| self.call(command, script, keys, step, &arguments);
        let replicas = self.replicas(step, keys);
        let (answer, have) =
            run_script(link, (&self.script, TEXT), call, replicas.as_ref()).await?;
        if let Some(other) = decode::other_server(&answer) {
            self.replication_ids.learn(team, other);
            return Ok(None);
        }
        Ok(Some((answer, have)))
    }

    async fn step_once(&self, team: &TeamId, step: &Step) -> Result<Reply, Outage> {
        let keys = &*self.keys(team);
        let applied = self
            .client
            .go_on(Some(team), &keys.state, |mut link| async move {
                self.apply(&mut link, (team, keys), step).await
            })
            .await?;
        let Some((value, have)) = applied else {
            return Ok(Reply::of_another_primary(self.client.store_micros()));
        };
        let reply = decode::reply(step, value)?;
        trust::introduce(self).await?;
        let too_few = self.replicas(step, keys).filter(|replicas| have < replicas.count);
        let void = too_few.map(|replicas| {
            Outage::Refused(format!("{have} of {} replicas have the reservation", replicas.count))
        });
        Ok(Reply { void, ..reply })
    }
}

impl Keeper for RedisKeeper {
    async fn step(&self, team: &TeamId, step: &Step) -> Result<Reply, Outage> {
        let reply = self.step_once(team, step).await?;
        // Boxed, since it is large and rare.
        let moved = upgrade::is_due(&reply) && Box::pin(upgrade::take_over(self, team)).await?;
        if moved { Box::pin(self.step_once(team, step)).await } else { Ok(reply) }
    }

    fn replication_id(&self, team: &TeamId) -> u64 {
        self.replication_ids.last(team)
    }

    fn name_step(&self) -> u64 {
        self.process.name_step()
    }

    async fn let_another_go_first(&self) {
        tokio::time::sleep(PAUSE).await;
    }

    async fn trust(&self, team: &TeamId, accepts: bool) -> Result<TrustState, Outage> {
        trust::trust(self, team, accepts).await
    }

    async fn is_doubted(&self, team: &TeamId) {
        trust::doubt(self, team).await;
    }

    async fn leave_mark(&self, team: &TeamId, name: u64) -> Result<LeftMark, Outage> {
        trust::leave_mark(self, team, name).await
    }

    async fn may_be_made(&self, team: &TeamId, accepts: bool) -> Result<bool, Outage> {
        trust::may_be_made(self, team, accepts).await
    }

    fn is_settled(&self, team: &TeamId) -> bool {
        self.client.breaker(Some(team)).is_settled(self.settings.reservation_ttl / 3 + SETTLE_DOWN)
    }

    async fn made(&self, team: &TeamId) {
        trust::made(self, team).await;
    }
}

impl KeeperTime for RedisKeeper {
    fn now(&self) -> i64 {
        self.client.store_micros()
    }

    fn learn(&self, at: i64) {
        self.client.learn(at);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::super::access::Process;
    use super::super::settings::Settings;
    use super::*;
    use crate::clock::Clock;
    use crate::ledger::Unobserved;
    use crate::ledger::keeper::Wanted;
    use crate::ledger::machine::Revision;
    use crate::store::{Client, Topology};

    /// The team is not made unless that mark is there.
    #[test]
    fn the_step_that_makes_a_team_names_its_mark() {
        let settings = Settings::new(Topology::Single { url: "redis://127.0.0.1:1".to_owned() });
        let client =
            Client::new(settings.store.clone(), Clock::system(), Arc::new(Unobserved)).unwrap();
        let keeper = RedisKeeper::new(client, settings, Process::new().into(), Arc::default());
        let keys = Keys::of(&TeamId::parse("design").unwrap());
        let names = |expected| {
            let step = Step { expected, ..Step::reading(0, Wanted::default(), Vec::new(), 0) };
            let command = keeper.call("EVALSHA", "hash", &keys, &step, &Arguments::with_room());
            String::from_utf8_lossy(&command.get_packed_command()).contains(&keys.mark(7))
        };
        let left = |name| Expected::Nothing(LeftMark { name, left_at: 9 });
        assert!(names(left(7)) && !names(left(8)));
        assert!(!names(Expected::Anything) && !names(Expected::Revision(Revision::default())));
    }
}
