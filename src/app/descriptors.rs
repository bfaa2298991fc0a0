//! How many connections the process's file descriptors are enough for.

/// What is open beside the calls: listeners, the ledger, logs, issuers, connections kept to the upstream, probes.
const RESERVE: usize = 128;

/// Every call may need one descriptor for its caller and one for the upstream.
const PER_CONNECTION: usize = 2;

/// The most connections that may be open: as many as are wanted, or as the soft limit of this process is enough for.
/// Says so in the log when those are fewer: as a warning when they are so few that somebody may meet the bound.
pub(super) fn bound_connections(wanted: usize) -> usize {
    let Some(limit) = std::fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(soft_limit) else {
        return wanted;
    };
    let bound = enough_for(limit).min(wanted);
    if bound >= wanted {
        return bound;
    }
    if is_far_below(bound, wanted) {
        tracing::warn!(connections_max = wanted, lowered_to = bound, descriptors = limit, "{LOWERED}");
    } else {
        tracing::info!(connections_max = wanted, lowered_to = bound, descriptors = limit, "{LOWERED}");
    }
    bound
}

const LOWERED: &str = "limits.connections_max is lowered: it needs two file descriptors for each connection; raise their limit \
                       (ulimit -n) or set limits.connections_max lower";

/// Nobody who set a bound of ten thousand meets one that is a little lower.
const fn is_far_below(bound: usize, wanted: usize) -> bool {
    bound < wanted / 10 * 9
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
    fn a_bound_that_is_lowered_a_little_is_worth_no_warning() {
        assert!(!is_far_below(9_936, 10_000));
        assert!(is_far_below(448, 10_000));
    }

    #[test]
    fn without_a_limit_nothing_is_lowered() {
        assert_eq!(soft_limit(&LIMITS.replace("1024  ", "unlimited")), None);
        assert_eq!(soft_limit(""), None);
    }
}
