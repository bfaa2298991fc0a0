//! The script that applies a batch, and how it is called.

use std::time::Duration;

use redis::{Cmd, ErrorKind, RedisError, Script, ServerErrorKind, Value};

use super::keys::Keys;
use super::link::Link;

/// The script: the parts are one text, so that each can be read on its own.
const TEXT: &str = concat!(
    include_str!("team/request.lua"),
    include_str!("team/there.lua"),
    include_str!("team/scopes.lua"),
    include_str!("team/epoch.lua"),
    include_str!("team/limits.lua"),
    include_str!("team/soft.lua"),
    include_str!("team/usage.lua"),
    include_str!("team/operations.lua"),
    include_str!("team/topup.lua"),
    include_str!("team/redo.lua"),
    include_str!("team/steps.lua"),
    include_str!("team/answer.lua"),
    include_str!("team/lives.lua"),
    include_str!("team/write.lua"),
);

/// The one script, with its fingerprint.
pub(super) struct TeamScript(Script);

/// How many replicas must have what a batch wrote, and how long they may take.
#[derive(Clone, Copy)]
pub(super) struct Replicas {
    pub(super) wanted: u32,
    pub(super) patience: Duration,
}

impl TeamScript {
    pub(super) fn new() -> Self {
        Self(Script::new(TEXT))
    }

    /// Applies a request to a team. Also says how many replicas have it, where that was asked.
    ///
    /// A server that does not know the script (it was restarted, or its scripts were flushed) is sent the text.
    pub(super) async fn apply(
        &self,
        link: &mut Link,
        keys: &Keys,
        request: &[u8],
        replicas: Option<Replicas>,
    ) -> Result<(Value, u32), RedisError> {
        let known = call("EVALSHA", self.0.get_hash(), keys, request);
        match send(link, &known, keys, replicas).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let in_full = call("EVAL", TEXT, keys, request);
                send(link, &in_full, keys, replicas).await
            }
            answered => answered,
        }
    }
}

fn call(command: &str, script: &str, keys: &Keys, request: &[u8]) -> Cmd {
    let mut call = Cmd::with_capacity(7, script.len() + request.len() + 128);
    call.arg(command).arg(script).arg(3).arg(&keys.open).arg(&keys.held).arg(&keys.rows).arg(request);
    call
}

async fn send(
    link: &mut Link,
    call: &Cmd,
    keys: &Keys,
    replicas: Option<Replicas>,
) -> Result<(Value, u32), RedisError> {
    match replicas {
        None => link.run(call).await.map(|value| (value, 0)),
        Some(Replicas { wanted, patience }) => link.run_and_wait(call, &keys.open, wanted, patience).await,
    }
}
