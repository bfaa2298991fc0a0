//! What an error of the Redis client means to its user, and whether to retry.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::Outage;

/// Message when a Cluster is found where one server was configured (`ledger.redis.url`, or behind
/// Sentinels).
pub(super) const IS_A_CLUSTER: &str =
    "this Redis is a node of a Cluster: name its nodes in ledger.redis.cluster";

/// The outage for an error. The server's texts name commands and keys, never a secret.
pub(super) fn outage_of(error: &RedisError) -> Outage {
    if error.is_timeout() {
        return Outage::TimedOut;
    }
    let answered = matches!(
        error.kind(),
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType
    );
    if !answered {
        return Outage::Unreachable(error.to_string());
    }
    let hint = if is_redirect(error) { format!(" ({IS_A_CLUSTER})") } else { String::new() };
    let code = error.code().unwrap_or_default();
    Outage::Refused(
        format!("{code} {}{hint}", error.detail().unwrap_or_default()).trim().to_owned(),
    )
}

/// Whether a cluster's node redirects to another one. The client follows by itself once it is
/// connected there.
pub(super) fn is_redirect(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask))
}

/// Whether another connection may help: this one broke, or leads to a server that is no primary.
pub(super) fn wants_another_connection(error: &RedisError) -> bool {
    let not_primary = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading
        )
    );
    not_primary || error.is_io_error() || error.is_unrecoverable_error()
}
