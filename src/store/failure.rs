//! What an error of the client means to the ledger, and whether it is worth another try.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::Outage;

/// What is said where one server was configured and a Cluster is found (`ledger.redis.url`, or behind Sentinels).
pub(super) const IS_A_CLUSTER: &str = "this Redis is a node of a Cluster: name its nodes in ledger.redis.cluster";

/// What an error means to the ledger. The server's texts name commands and keys, never a secret.
pub(super) fn outage_of(error: &RedisError) -> Outage {
    if error.is_timeout() {
        return Outage::TimedOut;
    }
    let answered =
        matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType);
    if !answered {
        return Outage::Unreachable(error.to_string());
    }
    let hint = if leads_on(error) { format!(" ({IS_A_CLUSTER})") } else { String::new() };
    let code = error.code().unwrap_or_default();
    Outage::Refused(format!("{code} {}{hint}", error.detail().unwrap_or_default()).trim().to_owned())
}

/// Whether a node of a cluster says that another one has the key. A cluster's client follows that by itself, as long as
/// it is connected to that other one.
pub(super) fn leads_on(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask))
}

/// Whether another connection may serve where this one did not: it broke, or it leads to a server that is no primary.
pub(super) fn wants_another_connection(error: &RedisError) -> bool {
    let not_primary = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading)
    );
    not_primary || error.is_io_error() || error.is_unrecoverable_error()
}
