"""The Team board: for a team's lead. What is left, how long it lasts, what became of the calls."""

from board import HERE, Board, choice
from parts import CREDITS, Placed, Value, bars, lines, numbers, quantiles, rows
from spending import ended, pace, spent

PACE = "[$__rate_interval]"
MINE = f'{HERE}, team="$team"'
ONLY = ', team="$team"'
BUDGETS = 'limit=~"team:credits_.+"'
COLORS = [(0.8, "yellow"), (0.95, "red")]


def allowed(limit: str) -> str:
    """What limits allow; what is gone from the configuration is left out."""
    return f"max by (team, limit) (moongate_limit{{{MINE}, {limit}}} < Inf)"


def used(limit: str) -> str:
    """What of limits is used or reserved. A replica without calls may still show the window before:
    one that has ended holds nothing."""
    metric, reset = "moongate_limit_used", "moongate_limit_reset_timestamp_seconds"
    of = f"{{{MINE}, {limit}}}"
    open_window = f"{metric}{of} unless {reset}{of} < time()"
    return f"max by (team, limit) (({open_window}) or 0 * {metric}{of})"


def resets_in(limit: str) -> str:
    """Seconds to the end of the window."""
    metric = "moongate_limit_reset_timestamp_seconds"
    return f"(max by (team, limit) ({metric}{{{MINE}, {limit}}}) - time() > 0)"


def left(limit: str) -> str:
    """What remains."""
    return f"({allowed(limit)} - {used(limit)})"


def lasts(limit: str) -> str:
    """How long what remains lasts at the pace of the board's range, at most to the reset."""
    runs_out = f"({left(limit)} / on (team) group_left () ({pace('team', ONLY)} > 0))"
    reset = resets_in(limit)
    return f"clamp_min({runs_out} < {reset} or {reset} or {runs_out}, 0)"


def at_the_reset(limit: str) -> str:
    """What will be left when the window ends, at the pace of the board's range; a budget that does
    not last leaves nothing, since from then on calls are refused."""
    goes = f"{resets_in(limit)} * on (team) group_left () {pace('team', ONLY)}"
    return f"clamp_min({left(limit)} - {goes}, 0)"


def evenly(limit: str) -> str:
    """What would be left had the budget been spent evenly since its window began."""
    day, month = f'{limit}, limit=~".+_per_day"', f'{limit}, limit=~".+_per_month"'
    # The day before a month's end is in that month in every time zone.
    reset = f"max by (team, limit) (moongate_limit_reset_timestamp_seconds{{{MINE}, {month}}})"
    days = f"days_in_month({reset} - 86400)"
    by_day = f"{allowed(day)} * clamp_max({resets_in(day)} / 86400, 1)"
    by_month = f"{allowed(month)} * clamp_max({resets_in(month)} / (86400 * {days}), 1)"
    return f"{by_day} or {by_month}"


def calls(by: str, matchers: str = "") -> str:
    """Calls of priced models a minute."""
    of = f'{{{MINE}, model!="other"{matchers}}}'
    return f"sum by ({by}) (rate(moongate_team_requests_total{of}{PACE})) * 60"


def first_screen(board: Board) -> None:
    """Does the budget last, and what becomes of the calls?"""
    budget = 'limit="$budget"'
    refused = f"sum(increase(moongate_refusals_total{{{MINE}}}[$__range])) or vector(0)"
    board.show(
        numbers(
            "$team now",
            "Credits that the ledger charged today and this month, in the team's time zone, and the"
            " calls of this month that ended; calls being answered and waiting; requests refused"
            " over the time range of the board.",
            [
                Value("spent today", f"sum({spent('today', ONLY)})", CREDITS, 3),
                Value("spent this month", f"sum({spent('month', ONLY)})", CREDITS, 3),
                Value("calls this month", f"sum({ended('month', ONLY)})", decimals=0),
                Value("being answered", f"sum(moongate_team_in_flight{{{MINE}}})"),
                Value("in the queue", f"sum(moongate_team_queue_depth{{{MINE}}})"),
                Value("refused", refused, decimals=0),
            ],
        ),
        lines(
            "$budget: what is left",
            "Credits left of the budget, until it is given back at its reset. `evenly spent` is"
            " what would be left at an even pace: below it, the budget goes faster than its window."
            " `left at the reset` is where the pace of the board's time range leads: at zero, the"
            " budget does not last.",
            CREDITS,
            [
                Value("left", left(budget)),
                Value("evenly spent", evenly(budget)),
                Value("left at the reset", at_the_reset(budget)),
            ],
            w=12,
            h=9,
            dashed=("evenly spent", "left at the reset"),
            runbook="moongateteambudgetwillnotlast",
        ),
        rows(
            "Budgets in credits, and how long they last",
            "Every budget of the team. `lasts` and `left then` are at the pace of the board's"
            " time range. `lasts` ends at the reset, where the budget is given back; `left then` is"
            " what will be left of it at that moment, and never below zero: a budget that does not"
            " last leaves nothing. A prepaid budget has no reset.",
            [
                Value(
                    "used", f"{used(BUDGETS)} / ({allowed(BUDGETS)} > 0)", "percentunit", 1, COLORS
                ),
                Value("allowed", allowed(BUDGETS), "none", 3),
                Value("left", left(BUDGETS), "none", 3),
                Value("lasts", lasts(BUDGETS), "s"),
                Value("resets in", resets_in(BUDGETS), "s"),
                Value("left then", at_the_reset(BUDGETS), "none", 3),
            ],
            w=12,
            h=9,
            runbook="moongateteambudgetwillnotlast",
        ),
        lines(
            "Calls by model and outcome",
            "Calls of priced models a minute: `ok`; `upstream_error`, the upstream failed;"
            " `refused`, by the gateway; `abandoned`, the caller left.",
            "suffix: /min",
            [Value("{{model}} {{outcome}}", calls("model, outcome"))],
            w=8,
            stacked=True,
        ),
        lines(
            "Refusals by reason",
            "Requests of the team refused a minute, by the code in the answer's body.",
            "suffix: /min",
            [
                Value(
                    "{{reason}}",
                    f"sum by (reason) (rate(moongate_refusals_total{{{MINE}}}{PACE})) * 60",
                )
            ],
            w=8,
            stacked=True,
        ),
        lines(
            "Wait in the queue",
            "How long calls waited for the shared account, where it has limits; those that were"
            " refused for it as well.",
            "s",
            quantiles("moongate_queue_wait_seconds", MINE),
            w=8,
            runbook="moongatequeuefull",
        ),
    )


def limits() -> list[Placed]:
    """All limits, and those that only look."""
    every = 'limit=~"team:.+"'
    return [
        rows(
            "Limits",
            "Every limit of the team: how much it allows, how much is used, what remains, and when"
            " its window ends. Calls, slots or credits, as the limit says.",
            [
                Value("used", f"{used(every)} / ({allowed(every)} > 0)", "percentunit", 1, COLORS),
                Value("allowed", allowed(every)),
                Value("left", left(every)),
                Value("resets in", resets_in(every), "s"),
            ],
            w=12,
        ),
        lines(
            "Limits by share used",
            "The share of each limit that is used or reserved: at 100 % the limit refuses.",
            "percentunit",
            [Value("{{limit}}", f"{used(every)} / ({allowed(every)} > 0)")],
            w=12,
            top=1,
        ),
        lines(
            "Refusals by limit",
            "Requests a minute that a limit of the team, of one user or of one key refused.",
            "suffix: /min",
            [
                Value(
                    "{{limit}}",
                    f"sum by (limit) (rate(moongate_limit_refusals_total{{{MINE}}}{PACE})) * 60",
                )
            ],
            w=8,
            stacked=True,
        ),
        lines(
            "Limits in shadow",
            "Calls a minute that a limit in shadow would have refused: what it will do when it is"
            " made to count.",
            "suffix: /min",
            [
                Value(
                    "{{limit}}",
                    f"sum by (limit) (rate(moongate_shadow_refusals_total{{{MINE}}}{PACE})) * 60",
                )
            ],
            w=8,
        ),
        lines(
            "Soft thresholds",
            "Times that a budget came to its soft threshold, over the time range of the board.",
            "short",
            [
                Value(
                    "{{limit}}",
                    f"sum by (limit) (increase(moongate_soft_limit_crossings_total{{{MINE}}}"
                    "[$__range]))",
                )
            ],
            w=8,
        ),
    ]


def what_it_got() -> list[Placed]:
    """What the calls brought and cost."""

    def a_minute(metric: str) -> str:
        return f"sum by (model) (rate({metric}{{{MINE}}}{PACE})) * 60"

    return [
        bars(
            "Spent this month by model",
            "Credits that the ledger charged this month, in the team's time zone.",
            CREDITS,
            [Value("{{model}}", f"sum by (model) ({spent('month', ONLY)})")],
            w=12,
        ),
        lines(
            "Generations that succeed",
            "From when the caller was known to when the answer was ready, the wait in the queue"
            " included. Refusals, which are quick, are not among them.",
            "s",
            quantiles("moongate_team_request_duration_seconds", f'{MINE}, outcome="ok"'),
            w=12,
        ),
        lines(
            "Images",
            "Images a minute that came back, by model.",
            "suffix: /min",
            [Value("{{model}}", a_minute("moongate_team_images_total"))],
        ),
        lines(
            "Video",
            "Seconds of video a minute that came back, by model.",
            "suffix: s/min",
            [Value("{{model}}", a_minute("moongate_team_video_seconds_total"))],
        ),
        lines(
            "Reservations open",
            "Calls whose credits are held and not yet settled, on whichever replica.",
            "short",
            [Value("open", f"max(moongate_reservations_open{{{MINE}}})")],
        ),
    ]


def team(runbook: str) -> Board:
    """The whole board."""
    which = choice(
        "team",
        "Team",
        "The teams of the configuration.",
        f"label_values(moongate_team_in_flight{{{HERE}}}, team)",
        every=False,
        many=False,
    )
    budget = choice(
        "budget",
        "Budget",
        "The team's budgets, of a day, of a month, or prepaid.",
        f"label_values(moongate_limit{{{MINE}, {BUDGETS}}}, limit)",
        every=False,
        many=False,
    )
    about = "One team: its budgets and how long they last, its calls, its refusals, its waits."
    board = Board("team", about, runbook, [which, budget], since="now-24h")
    first_screen(board)
    board.closed("Limits", *limits())
    board.closed("What it got", *what_it_got())
    return board
