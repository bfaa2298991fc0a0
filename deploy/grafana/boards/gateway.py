"""The Gateway board: for whoever runs it. How it fares, whose fault an error is, what is full."""

from board import FIRING, HERE, OF_THE_GATEWAY, Board, choice
from parts import Placed, Value, bars, lines, numbers, quantiles, rows, steps_of

PACE = "[$__rate_interval]"
TEAM = f'{HERE}, team=~"$team"'
DURATION = "moongate_team_request_duration_seconds"
MADE = f'{HERE}, outcome="ok"'
LOST = f'{HERE}, result!="delivered"'
UNSENT = f'{HERE}, result!="exported"'
UP = {"1": ("reached", "green"), "0": ("away", "red")}
BREAKER = {"0": ("reached", "green"), "1": ("left alone", "red")}
TAKEN = {"1": ("taken", "green"), "0": ("refused", "red")}


def rate(metric: str, by: str = "", matchers: str = HERE) -> str:
    """How fast a counter grows, over all replicas."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{matchers}}}{PACE}))"


def quantile(part: float, metric: str, by: str = "", matchers: str = HERE) -> str:
    """A quantile of a histogram over all replicas."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({part}, {rate(f'{metric}_bucket', labels, matchers)})"


OWN_FAULT = f'{HERE}, source="gateway"'
OWN_ERRORS = (
    f"({rate('moongate_refusals_total', matchers=OWN_FAULT)} or vector(0))"
    f" / {rate('moongate_http_requests_total')}"
)


def first_screen(board: Board) -> None:
    """Is it well, and if not, whose fault is it and what is full?"""
    worker = f'{HERE}, runtime=~"worker-.+"'
    board.show(
        numbers(
            "Now",
            "Requests a second; the share refused by the gateway's own fault (objective: 0.1 %);"
            " how long generations that succeed take; what the gateway itself adds to a request;"
            " calls being answered and calls that wait for the shared account.",
            [
                Value("requests", rate("moongate_http_requests_total"), "reqps"),
                Value("own errors", OWN_ERRORS, "percentunit", 2, [(0.001, "red")]),
                Value("generation, 95 %", quantile(0.95, DURATION, matchers=MADE), "s"),
                Value(
                    "own overhead, 99 %",
                    quantile(0.99, "moongate_overhead_seconds"),
                    "s",
                    steps=[(0.01, "yellow"), (0.05, "red")],
                ),
                Value("in flight", f"sum(moongate_http_in_flight{{{HERE}}})"),
                Value("in the queue", f"sum(moongate_team_queue_depth{{{HERE}}})"),
            ],
            h=3,
            runbook="the-objective",
        ),
        numbers(
            "State",
            "The worst of all replicas: whether it reaches the ledger and the upstream, whether it"
            " took the last configuration; and how many shared keys are usable, replicas there are"
            " and alerts fire.",
            [
                Value("ledger", f"min(moongate_ledger_up{{{HERE}}})", words=UP),
                Value("upstream", f"max(moongate_upstream_breaker_open{{{HERE}}})", words=BREAKER),
                Value(
                    "shared keys in use",
                    f"sum(max by (key) (moongate_upstream_key_healthy{{{HERE}}}))",
                ),
                Value(
                    "configuration",
                    f"min(moongate_config_last_reload_success{{{HERE}}})",
                    words=TAKEN,
                ),
                Value("replicas", f"count(moongate_build_info{{{HERE}}})"),
                Value(
                    "alerts",
                    f'count(ALERTS{{{HERE}, {FIRING}, severity!="info"}}) or vector(0)',
                    steps=[(1, "red")],
                ),
            ],
            h=3,
        ),
        lines(
            "Requests, by whose fault",
            "Requests a second: answered, or refused for the caller's request (`caller`), a"
            " policy of the team (`policy`), the gateway's own fault (`gateway`) or the upstream's"
            " (`upstream`). Only `gateway` counts against the objective.",
            "reqps",
            [
                Value(
                    "answered",
                    f"{rate('moongate_http_requests_total')} - {rate('moongate_refusals_total')}",
                ),
                Value("{{source}}", rate("moongate_refusals_total", "source")),
            ],
            w=12,
            stacked=True,
            runbook="the-objective",
        ),
        lines(
            "Generations that succeed",
            "From when the caller was known to when the answer was ready: the wait in the queue and"
            " the upstream are in it. Refusals, which are quick, are not.",
            "s",
            quantiles(DURATION, MADE),
            w=6,
        ),
        lines(
            "Own overhead",
            "What the gateway itself adds to a request, the ledger's time included, without the"
            " body, the queue and the upstream. Refused requests are not among them.",
            "s",
            quantiles("moongate_overhead_seconds", HERE),
            w=6,
            runbook="moongatehighoverhead",
        ),
        lines(
            "Queue",
            "Calls that wait for the shared account, by team, over all replicas.",
            "short",
            [Value("{{team}}", f"sum by (team) (moongate_team_queue_depth{{{HERE}}})")],
            w=6,
            stacked=True,
            runbook="moongatequeuefull",
        ),
        lines(
            "Upstream",
            "Calls a second to the upstream, by its status, or by the gateway's code when it gave"
            " none.",
            "reqps",
            [Value("{{code}}", rate("moongate_upstream_requests_total", "code"))],
            w=6,
            stacked=True,
            runbook="moongateupstreamerrors",
        ),
        lines(
            "Ledger",
            "How long its operations take, of all kinds. At the deadline (250 ms unless it was set)"
            " slow becomes refused.",
            "s",
            quantiles("moongate_ledger_operation_seconds", HERE),
            w=6,
            runbook="moongateledgerslow",
        ),
        lines(
            "How full it is",
            "Of the replica where it is fullest: connections and file descriptors as a share of"
            " what may be open, the busiest worker as a share of its time.",
            "percentunit",
            [
                Value(
                    "connections",
                    f"max(moongate_connections_open{{{HERE}}}"
                    f" / moongate_connections_max{{{HERE}}})",
                ),
                Value(
                    "file descriptors",
                    f"max(process_open_fds{{{HERE}}} / process_max_fds{{{HERE}}} {OF_THE_GATEWAY})",
                ),
                Value("workers", f"max(rate(tokio_busy_seconds_total{{{worker}}}{PACE}))"),
            ],
            w=6,
            top=1,
            runbook="moongatefiledescriptorsnearlyused",
        ),
    )


def traffic() -> list[Placed]:
    """Who calls what."""
    calls = "moongate_team_requests_total"
    not_refused = 'model!="other", outcome!="refused"'
    mine, all_teams = f"{TEAM}, {not_refused}", f"{HERE}, {not_refused}"
    whole = "From the request's head to the end of its answer, in"
    return [
        lines(
            "Requests by route",
            "Requests a second to the team listener, by route of the gateway's table; `none` is"
            " what matched no route.",
            "reqps",
            [Value("{{route}}", rate("moongate_http_requests_total", "route"))],
        ),
        lines(
            "Answers by status",
            "Answers a second, by HTTP status; 499 is a caller who left before the answer.",
            "reqps",
            [Value("{{code}}", rate("moongate_http_requests_total", "code"))],
        ),
        lines(
            "Calls by team",
            "Requests a second of each team, whatever became of them; its own views (balance,"
            " usage, limits) are among them.",
            "reqps",
            [Value("{{team}}", rate(calls, "team", TEAM))],
        ),
        lines(
            "Calls by outcome",
            "Requests a second of the chosen teams: `ok`; `upstream_error`, the upstream failed;"
            " `refused`, by the gateway; `abandoned`, the caller left.",
            "reqps",
            [Value("{{outcome}}", rate(calls, "outcome", TEAM))],
        ),
        lines(
            "Share of the shared account",
            "The part that each team has of all calls of priced models which were not refused.",
            "percentunit",
            [
                Value(
                    "{{team}}",
                    f"{rate(calls, 'team', mine)}"
                    f" / ignoring (team) group_left () {rate(calls, matchers=all_teams)}",
                )
            ],
        ),
        lines(
            "In flight by team",
            "Calls of each team that are being answered, on all replicas.",
            "short",
            [Value("{{team}}", f"sum by (team) (moongate_team_in_flight{{{TEAM}}})")],
        ),
        lines(
            "In flight by route",
            "Requests being answered, by route, on all replicas.",
            "short",
            [Value("{{route}}", f"sum by (route) (moongate_http_in_flight{{{HERE}}})")],
        ),
        lines(
            "Routes, 95 %",
            f"{whole} 95 of 100 requests of each route; refusals are among them.",
            "s",
            [Value("{{route}}", quantile(0.95, "moongate_http_request_duration_seconds", "route"))],
        ),
        lines(
            "Generations by team, 95 %",
            "95 of 100 generations of each team that succeed are ready within this time.",
            "s",
            [Value("{{team}}", quantile(0.95, DURATION, "team", f'{TEAM}, outcome="ok"'))],
        ),
    ]


def refusals() -> list[Placed]:
    """Who is refused, and why."""
    metric = "moongate_refusals_total"
    named = '"team", "(not known)", "team", ""'
    asked = f"sum by (team, source, reason) (increase({metric}{{{TEAM}}}[$__range])) > 0"
    return [
        lines(
            "Refusals by reason",
            "Requests refused a second, by the code that callers see in the answer's body.",
            "reqps",
            [Value("{{reason}}", rate(metric, "reason", TEAM))],
            w=12,
        ),
        lines(
            "Refusals by team",
            "Requests refused a second; not known are callers without a good credential.",
            "reqps",
            [Value("{{team}}", f"label_replace({rate(metric, 'team', TEAM)}, {named})")],
            w=12,
        ),
        rows(
            "Who was refused, and why",
            "Refusals over the time range of the board, most frequent first.",
            [Value("refusals", f"label_replace({asked}, {named})", decimals=0)],
            w=12,
        ),
        lines(
            "Limits in shadow",
            "Calls a second that a limit in shadow would have refused: what it will do when it is"
            " made to count.",
            "reqps",
            [
                Value(
                    "{{team}} {{limit}}",
                    rate("moongate_shadow_refusals_total", "team, limit", TEAM),
                )
            ],
            w=12,
        ),
    ]


def queue_and_upstream() -> list[Placed]:
    """The shared account and what stands behind it."""
    calls, took = "moongate_upstream_requests_total", "moongate_upstream_duration_seconds"
    failing = rate(calls, "model", f'{HERE}, code=~"5..|upstream_.*"')
    every = rate(calls, "model")
    return [
        lines(
            "Wait in the queue, 95 %",
            "How long calls of each team waited for the shared account, where it has limits; those"
            " that were refused for it as well.",
            "s",
            [Value("{{team}}", quantile(0.95, "moongate_queue_wait_seconds", "team", TEAM))],
        ),
        lines(
            "Left of the shared limit",
            "Calls left in the shared account's windows: minute, day and month as the replicas"
            " count them together, `told` as the upstream says.",
            "short",
            [
                Value(
                    "{{key}} {{window}}",
                    f"min by (key, window) (moongate_upstream_limit_remaining{{{HERE}}})",
                )
            ],
            runbook="moongatesharedratelimited",
        ),
        lines(
            "Keys in use",
            "1 while every replica may use the shared key; 0 when the upstream rejected it or its"
            " balance is gone.",
            "short",
            [Value("{{key}}", f"min by (key) (moongate_upstream_key_healthy{{{HERE}}})")],
            top=1,
            runbook="moongateupstreamkeyunhealthy",
        ),
        lines(
            "Time at the upstream",
            "From the last byte sent to the upstream to the last byte received.",
            "s",
            quantiles(took, HERE),
        ),
        lines(
            "Upstream by model, 95 %",
            "95 of 100 calls of each model are answered by the upstream within this time.",
            "s",
            [Value("{{model}}", quantile(0.95, took, "model"))],
        ),
        lines(
            "Failing calls by model",
            "The share of calls of each model that end in a 5xx, a time-out or no whole answer.",
            "percentunit",
            [Value("{{model}}", f"({failing} or 0 * {every}) / {every}")],
            top=1,
            runbook="moongateupstreamerrors",
        ),
        lines(
            "Calls by model",
            "Calls a second to the upstream, by model.",
            "reqps",
            [Value("{{model}}", every)],
        ),
        lines(
            "Calls not made again",
            "A second: answered as before (`replayed`, `joined`), looked up by id (`fetched`), or"
            " refused because the key was used for another call (`mismatch`).",
            "reqps",
            [Value("{{kind}}", rate("moongate_replays_total", "kind"))],
        ),
        bars(
            "Prices against the catalogue",
            "Models, by how their configured price stands against the upstream's own list, as it"
            " was last read.",
            "short",
            [Value("{{state}}", f"max by (state) (moongate_upstream_prices{{{HERE}}})")],
        ),
    ]


def ledger() -> list[Placed]:
    """Where spending is counted."""
    batch = "moongate_ledger_batch_size"
    return [
        lines(
            "Operations by result",
            "Operations a second, by how they went. Anything but `ok` costs somebody a 503.",
            "ops",
            [Value("{{result}}", rate("moongate_ledger_operations_total", "result"))],
            runbook="moongateledgererrors",
        ),
        lines(
            "Operations",
            "Operations a second, by what was asked of the ledger.",
            "ops",
            [Value("{{op}}", rate("moongate_ledger_operations_total", "op"))],
        ),
        lines(
            "Time by operation, 99 %",
            "99 of 100 operations of each kind take less than this.",
            "s",
            [Value("{{op}}", quantile(0.99, "moongate_ledger_operation_seconds", "op"))],
        ),
        lines(
            "Reached by replica",
            "1 while the replica reaches the ledger. While it does not, it refuses paid calls.",
            "short",
            [Value("{{instance}}", f"moongate_ledger_up{{{HERE}}}")],
            top=1,
            runbook="moongateledgerunavailable",
        ),
        lines(
            "Admissions in one batch",
            "How many admissions are sent to the ledger in one step: more under load, which is what"
            " keeps it fast.",
            "short",
            [
                Value("average", f"{rate(f'{batch}_sum')} / {rate(f'{batch}_count')}"),
                Value("99 %", quantile(0.99, batch)),
            ],
        ),
        lines(
            "Reservations open",
            "Calls whose credits are held and not yet settled, of the whole team as the ledger says"
            " it. Should follow the calls in flight of all replicas together.",
            "short",
            [Value("{{team}}", f"max by (team) (moongate_reservations_open{{{TEAM}}})")],
        ),
        lines(
            "Reservations swept",
            "Reservations a minute that another replica had to end because theirs was gone.",
            "suffix: /min",
            [Value("{{team}}", f"{rate('moongate_reservations_swept_total', 'team', TEAM)} * 60")],
            runbook="moongatereservationsswept",
        ),
        lines(
            "Settlements by result",
            "How calls ended for the ledger: charged, released, unknown (nobody knows whether the"
            " upstream billed it), repeated.",
            "ops",
            [Value("{{result}}", rate("moongate_settlements_total", "result"))],
            runbook="moongatesettlementsunknown",
        ),
    ]


def identity() -> list[Placed]:
    """Who is let in."""
    return [
        lines(
            "Credentials by result",
            "Credentials checked a second, by kind (token or gateway key) and what came of it.",
            "ops",
            [Value("{{kind}} {{result}}", rate("moongate_authentications_total", "kind, result"))],
            w=12,
            runbook="moongateauthenticationfailures",
        ),
        lines(
            "Age of the issuers' keys",
            "How old each issuer's key set is on the replica where it is oldest.",
            "s",
            [Value("{{issuer}}", f"max by (issuer) (moongate_jwks_age_seconds{{{HERE}}})")],
            w=6,
            runbook="moongatejwksstale",
        ),
        lines(
            "Reading the issuers' keys",
            "How often key sets were read, a minute, and how it went.",
            "suffix: /min",
            [
                Value(
                    "{{issuer}} {{result}}",
                    f"{rate('moongate_jwks_refreshes_total', 'issuer, result')} * 60",
                )
            ],
            w=6,
            runbook="moongateissuerunread",
        ),
    ]


def of_process(metric: str) -> str:
    """A metric of the processes that are gateways."""
    return f"{metric}{{{HERE}}} {OF_THE_GATEWAY}"


def replicas() -> list[Placed]:
    """The processes themselves."""
    labels = "instance, version, commit"
    build = f"* on (instance) group_left (version, commit) moongate_build_info{{{HERE}}}"
    taken = "moongate_config_last_reload_timestamp_seconds"

    def grown(metric: str) -> str:
        return f"sum(increase({metric}{{{HERE}}}{PACE}))"

    return [
        rows(
            "Versions and configuration",
            "What each replica runs, how long ago it took its configuration, whether it took the"
            " last one it was given, and how long it has been up.",
            [
                Value("running", f"sum by ({labels}) (moongate_build_info{{{HERE}}})"),
                Value(
                    "last configuration",
                    f"max by ({labels}) (moongate_config_last_reload_success{{{HERE}}} {build})",
                    words=TAKEN,
                ),
                Value(
                    "configuration taken",
                    f"time() - max by ({labels}) ({taken}{{{HERE}}} {build})",
                    "s",
                ),
                Value(
                    "up",
                    f"time() - max by ({labels}) (process_start_time_seconds{{{HERE}}} {build})",
                    "s",
                ),
            ],
            w=12,
            runbook="moongateversionsdiffer",
        ),
        lines(
            "Things that should stay at nothing",
            "Log lines that were dropped; lookups of series beyond the most a metric may have;"
            " answers that held the shared key and were blanked; times that callers had to wait to"
            " be accepted; losses of the ledger's store; notices that the webhook did not get; spans"
            " of traces that the collector did not get.",
            "short",
            [
                Value("log lines dropped", grown("moongate_log_lines_dropped_total")),
                Value("series beyond the bound", grown("moongate_metric_series_dropped_total")),
                Value("answers with the shared key", grown("moongate_upstream_tripwire_total")),
                Value("callers that waited", grown("moongate_accept_stalls_total")),
                Value("losses of the ledger", grown("moongate_ledger_epoch_changes_total")),
                Value(
                    "webhook notices lost",
                    f"sum(increase(moongate_webhook_notices_total{{{LOST}}}{PACE})) or vector(0)",
                ),
                Value(
                    "trace spans lost",
                    f"sum(increase(moongate_trace_spans_total{{{UNSENT}}}{PACE})) or vector(0)",
                ),
            ],
            w=12,
        ),
        lines(
            "Processor",
            "Cores that each replica uses.",
            "suffix: cores",
            [
                Value(
                    "{{instance}}",
                    f"rate(process_cpu_seconds_total{{{HERE}}}{PACE}) {OF_THE_GATEWAY}",
                )
            ],
        ),
        lines(
            "Memory",
            "Resident memory of each replica. Bodies in flight are most of it under load.",
            "bytes",
            [Value("{{instance}}", of_process("process_resident_memory_bytes"))],
            runbook="moongaterestarts",
        ),
        lines(
            "How busy the runtimes are",
            "The share of its time that a runtime's thread runs tasks, on the replica where it is"
            " busiest. At 100 % calls wait for it.",
            "percentunit",
            [
                Value(
                    "{{runtime}}",
                    f"max by (runtime) (rate(tokio_busy_seconds_total{{{HERE}}}{PACE}))",
                )
            ],
        ),
        lines(
            "Tasks",
            "Tasks that have begun and not ended, and those that wait to be run, of each replica.",
            "short",
            [
                Value("{{instance}} alive", f"sum by (instance) (tokio_alive_tasks{{{HERE}}})"),
                Value(
                    "{{instance}} waiting",
                    f"sum by (instance) (tokio_global_queue_depth{{{HERE}}})",
                ),
            ],
        ),
        lines(
            "Threads",
            "Threads of each replica: its workers and a few more. A number that grows is a fault.",
            "short",
            [Value("{{instance}}", of_process("process_threads"))],
        ),
        lines(
            "Connections",
            "Connections to the team listener, as a share of how many may be open.",
            "percentunit",
            [
                Value(
                    "{{instance}}",
                    f"moongate_connections_open{{{HERE}}} / moongate_connections_max{{{HERE}}}",
                )
            ],
            runbook="moongatecallerswaittoconnect",
        ),
        lines(
            "File descriptors",
            "Open descriptors of each replica, as a share of what it may open.",
            "percentunit",
            [
                Value(
                    "{{instance}}",
                    f"process_open_fds{{{HERE}}} / process_max_fds{{{HERE}}} {OF_THE_GATEWAY}",
                )
            ],
            runbook="moongatefiledescriptorsnearlyused",
        ),
        lines(
            "Spans of traces",
            "Spans a second, by what became of them: `exported`; `dropped`, there was no room for"
            " them; `failed`, the collector did not take them. Only with `telemetry.otlp`.",
            "ops",
            [Value("{{result}}", rate("moongate_trace_spans_total", "result"))],
            stacked=True,
            runbook="moongatetraceslost",
        ),
        steps_of(
            "Own overhead in steps",
            "How many requests that were not refused fell into each step of the gateway's own"
            " time.",
            f"sum by (le) (increase(moongate_overhead_seconds_bucket{{{HERE}}}{PACE}))",
        ),
    ]


def gateway(runbook: str) -> Board:
    """The whole board."""
    team = choice(
        "team",
        "Team",
        "For the rows below that are about teams.",
        f"label_values(moongate_team_in_flight{{{HERE}}}, team)",
        every=True,
        many=True,
    )
    about = "How the gateway fares: errors by whose fault, times, the queue, what is full."
    board = Board("gateway", about, runbook, [team])
    first_screen(board)
    board.closed("Traffic", *traffic())
    board.closed("Refusals", *refusals())
    board.closed("Queue and upstream", *queue_and_upstream())
    board.closed("Ledger", *ledger())
    board.closed("Identity", *identity())
    board.closed("Replicas", *replicas())
    return board
