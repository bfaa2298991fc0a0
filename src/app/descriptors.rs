//! How many connections the process's file descriptors are enough for.

/// What is open beside the calls: listeners, the ledger, logs, issuers, connections kept to the upstream, probes.
const RESERVE: usize = 128;

/// Every call may need one descriptor for its caller and one for the upstream.
const PER_CONNECTION: usize = 2;

/// The most connections that may be open: as many as are wanted, or as the soft limit of this process is enough for. Says so
/// in the log when those are fewer.
pub(super) fn bound_connections(wanted: usize) -> usize {
    let Some(limit) = std::fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(soft_limit) else {
        return wanted;
    };
    let bound = enough_for(limit).min(wanted);
    if bound < wanted {
        tracing::warn!(
            connections_max = wanted,
            lowered_to = bound,
            descriptors = limit,
            "limits.connections_max is lowered: the process may not open enough files (ulimit -n)"
        );
    }
    bound
}

fn enough_for(limit: usize) -> usize {
    (limit.saturating_sub(RESERVE) / PER_CONNECTION).max(1)
}

/// The soft limit of open files as proc(5) shows it; none when there is no limit.
fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
                          Max processes             unlimited            unlimited            processes \n\
                          Max open files            1024                 524288               files     \n";

    #[test]
    fn two_descriptors_for_each_connection_and_a_reserve_fit_the_soft_limit() {
        assert_eq!(soft_limit(LIMITS).map(enough_for), Some(448));
        assert_eq!(enough_for(10), 1, "a gateway that serves one at a time is better than none");
    }

    #[test]
    fn without_a_limit_nothing_is_lowered() {
        assert_eq!(soft_limit(&LIMITS.replace("1024  ", "unlimited")), None);
        assert_eq!(soft_limit(""), None);
    }
}
