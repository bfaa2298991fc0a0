//! What is only read costs one command, however much is read and whoever has written last.

use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use moongate::ledger::{Level, ReservationId, Verdict};

use super::lost::world::{World, admit, budgeted, counted, pay, snapshot};
use crate::ledger::conformance::harness::{Call, PRICE, key, user};
use crate::support::redis::RedisServer;

/// The commands that clients send to a server about one team.
struct Commands<'a> {
    server: &'a RedisServer,
    seen: Box<dyn Stream<Item = String> + Unpin + Send>,
}

impl<'a> Commands<'a> {
    async fn of(server: &'a RedisServer) -> Self {
        let client = redis::Client::open(server.url()).unwrap();
        let monitor = client.get_async_monitor().await.unwrap();
        Self { server, seen: Box::new(monitor.into_on_message::<String>()) }
    }

    /// Those since it was last asked, by their names.
    async fn since(&mut self) -> Vec<String> {
        self.server.run(&["ECHO", "that is all"]).await;
        let mut commands = Vec::new();
        loop {
            let line = self.seen.next().await.unwrap();
            if line.contains("that is all") {
                return commands;
            }
            let (from, command) = line.split_once("] ").unwrap();
            // What a script does is part of the command that runs it.
            if !from.ends_with(" lua") && command.contains("{design}") {
                commands.push(command.split('"').nth(1).unwrap().to_lowercase());
            }
        }
    }
}

/// The same call, made by another user with a key.
fn of_others(call: &Call) -> Call {
    let mut others = call.clone();
    let limits = &call.levels[0].limits;
    others.levels[1].scope = user("bo");
    others.levels.push(Level { scope: key("k7Qp2mZr9aBc"), limits: Arc::clone(limits) });
    others
}

#[tokio::test]
async fn budgets_are_read_with_one_command() {
    let (world, call) = (World::start().await, budgeted());
    let (one, other) = (world.replica(), world.replica());
    pay(&one, &call).await;
    pay(&other, &call).await;
    let mut commands = Commands::of(&world.server).await;
    let script = ["evalsha"];
    assert_eq!(counted(&other, &call).await, [(2, 0), (2 * PRICE, 0)]);
    assert_eq!(commands.since().await, script, "nobody has written since");
    pay(&one, &call).await;
    commands.since().await;
    assert_eq!(counted(&other, &call).await, [(3, 0), (3 * PRICE, 0)]);
    assert_eq!(commands.since().await, script, "another has written");
    admit(&one, &call).await.unwrap();
    commands.since().await;
    let quoted = other.quote(call.admission(ReservationId::new())).await.unwrap();
    assert!(matches!(quoted, Verdict::Admitted { .. }));
    assert_eq!(commands.since().await, script, "a quote, and another has written");
    snapshot(&other, &of_others(&call)).await.unwrap();
    assert_eq!(commands.since().await, script, "it has never read that user and that key");
}

#[tokio::test]
async fn calls_and_rows_are_read_with_one_command() {
    let (world, call) = (World::start().await, budgeted());
    let ledger = world.replica();
    let (id, paid) = (admit(&ledger, &call).await.unwrap().unwrap(), pay(&ledger, &call).await);
    let mut commands = Commands::of(&world.server).await;
    assert!(ledger.open_call(&call.team, id).await.unwrap().is_some());
    assert_eq!(commands.since().await.len(), 1);
    assert_eq!(ledger.open(&call.team).await.unwrap(), 1);
    assert_eq!(commands.since().await.len(), 1);
    assert_eq!(ledger.rows(&call.team, 0, 100).await.unwrap().rows[0].id, paid);
    assert_eq!(commands.since().await.len(), 1);
}
