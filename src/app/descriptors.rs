//! Bounds connections by the process's file descriptors.

/// Descriptors for everything else: listeners, the ledger, logs, issuers, kept upstream
/// connections, probes.
const RESERVE: usize = 128;

/// A call may need one descriptor for its caller and one for the upstream.
const PER_CONNECTION: usize = 2;

/// The most connections that may be open: the configured number, or fewer if the process's soft
/// limit does not allow it. Logs the latter; as a warning if the bound is low enough to be reached.
pub(super) fn bound_connections(configured: usize) -> usize {
    let Some(limit) =
        std::fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(soft_limit)
    else {
        return configured;
    };
    let bound = enough_for(limit).min(configured);
    if bound >= configured {
        return bound;
    }
    if is_far_below(bound, configured) {
        tracing::warn!(
            connections_max = configured,
            lowered_to = bound,
            descriptors = limit,
            "{LOWERED}"
        );
    } else {
        tracing::info!(
            connections_max = configured,
            lowered_to = bound,
            descriptors = limit,
            "{LOWERED}"
        );
    }
    bound
}

const LOWERED: &str = "limits.connections_max is lowered: it needs two file descriptors for each \
                       connection; raise their limit (ulimit -n) or set limits.connections_max \
                       lower";

/// A bound slightly below the configured one does not matter.
const fn is_far_below(bound: usize, configured: usize) -> bool {
    bound < configured / 10 * 9
}

fn enough_for(limit: usize) -> usize {
    (limit.saturating_sub(RESERVE) / PER_CONNECTION).max(1)
}

/// The soft limit of open files in the format of proc(5); none when unlimited.
fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "\
        Limit                     Soft Limit           Hard Limit           Units     \n\
        Max processes             unlimited            unlimited            processes \n\
        Max open files            1024                 524288               files     \n";

    #[test]
    fn two_descriptors_per_connection_and_a_reserve_fit_the_limit() {
        assert_eq!(soft_limit(LIMITS).map(enough_for), Some(448));
        assert_eq!(enough_for(10), 1, "a gateway that serves one at a time is better than none");
    }

    #[test]
    fn a_slightly_lowered_limit_is_not_warned_of() {
        assert!(!is_far_below(9_936, 10_000));
        assert!(is_far_below(448, 10_000));
    }

    #[test]
    fn without_a_limit_nothing_is_lowered() {
        assert_eq!(soft_limit(&LIMITS.replace("1024  ", "unlimited")), None);
        assert_eq!(soft_limit(""), None);
    }
}
