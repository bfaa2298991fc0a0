"""The Money board: for finance. Who spent what, to the credit, and whether the account agrees."""

from board import HERE, Board, choice
from parts import CREDITS, Placed, Value, bars, lines, numbers, rows
from spending import ended, pace, spent

TEAMS = ', team=~"$team"'
BALANCE = f"min by (key) (moongate_upstream_balance_credits{{{HERE}}})"
DRIFT = f"max by (key) (moongate_upstream_drift_credits{{{HERE}}})"


def first_screen(board: Board) -> None:
    """The numbers that go into a mail."""
    lasts = f"min({BALANCE}) / (({pace('')}) > 0)"
    exact = [
        Value(title, spent(period, TEAMS), "none", 6)
        for title, period in [
            ("this month", "month"),
            ("today", "today"),
            ("last month", "last_month"),
            ("in all", "total"),
        ]
    ]
    counts = [
        Value("calls this month", ended("month", TEAMS), decimals=0),
        Value(
            "unknown this month",
            ended("month", TEAMS, "unknown"),
            decimals=0,
            steps=[(1, "yellow")],
        ),
    ]
    board.show(
        numbers(
            "Spent by the chosen teams",
            "Credits as the ledger charged them, in each team's time zone: the same as `moongate"
            " usage` reports, whatever became of the replicas. `unknown` are calls of which nobody"
            " knows whether the upstream billed them: charged as pricing.on_unknown says.",
            [
                Value("this month", f"sum({spent('month', TEAMS)})", CREDITS, 3),
                Value("last month", f"sum({spent('last_month', TEAMS)})", CREDITS, 3),
                Value("today", f"sum({spent('today', TEAMS)})", CREDITS, 3),
                Value(
                    "unknown this month",
                    f"sum({ended('month', TEAMS, 'unknown')})",
                    decimals=0,
                    steps=[(1, "yellow")],
                ),
            ],
            w=14,
            runbook="moongatesettlementsunknown",
        ),
        numbers(
            "The account",
            "The balance as it was last read, how long it lasts at the pace of the board's time"
            " range, and the drift: what the account lost beyond what the ledger says was spent."
            " Read when `upstream.reconcile` is set.",
            [
                Value("balance", f"min({BALANCE})", CREDITS, 3),
                Value("lasts", lasts, "s"),
                Value("drift", f"max({DRIFT})", CREDITS, 3, [(1, "red")]),
            ],
            w=10,
            runbook="moongateaccountdrift",
        ),
        rows(
            "Who spent what, in credits",
            "Credits that the ledger charged, by team and model, and calls that ended this month."
            " Days and months are those of the team's time zone; the last line adds them up. Other"
            " months: `moongate usage --statement 2026-10`.",
            exact + counts,
            w=16,
            h=11,
            total=True,
        ),
        bars(
            "This month by team",
            "Credits that the ledger charged this month, in each team's time zone.",
            CREDITS,
            [Value("{{team}}", f"sum by (team) ({spent('month', TEAMS)})")],
            w=8,
            h=11,
        ),
        lines(
            "Month to date",
            "Credits that the ledger has charged since the month began, in each team's time zone.",
            CREDITS,
            [Value("{{team}}", f"sum by (team) ({spent('month', TEAMS)})")],
            w=12,
            stacked=True,
        ),
        lines(
            "Balance",
            "The balance of the shared account, as it was last read with each key. A step up is a"
            " top-up.",
            CREDITS,
            [Value("{{key}}", BALANCE)],
            w=12,
            runbook="moongateaccountbalancelow",
        ),
    )


def how_calls_ended() -> list[Placed]:
    """What was charged, and what was not."""
    by_outcome = f'{{{HERE}{TEAMS}, period="month"}}'
    each = f"max by (team, model, outcome) (moongate_team_calls{by_outcome})"
    settled = f'moongate_settlements_total{{{HERE}, result!="repeated"}}'
    return [
        rows(
            "Calls this month, by how they ended",
            "Charged; released, never sent; refused, by the upstream: no credits; unknown, nobody"
            " knows whether the upstream billed it.",
            [Value("calls", f"sum by (team, outcome) ({each})", decimals=0)],
            w=12,
            runbook="moongatesettlementsunknown",
        ),
        lines(
            "Settlements",
            "Calls an hour, by how the replicas settled them.",
            "suffix: /h",
            [
                Value(
                    "{{result}}",
                    f"sum by (result) (rate({settled}[$__rate_interval])) * 3600",
                )
            ],
            w=12,
        ),
    ]


def the_account() -> list[Placed]:
    """Whether the upstream agrees."""
    hour = f"rate(moongate_team_credits_total{{{HERE}{TEAMS}}}[$__rate_interval])"
    return [
        lines(
            "Drift",
            "What the account lost beyond what the ledger says was spent, since the process began"
            " or the balance rose. Above zero somebody else spends, or a price is wrong.",
            CREDITS,
            [Value("{{key}}", DRIFT)],
            runbook="moongateaccountdrift",
        ),
        lines(
            "Spend an hour",
            "Credits an hour that each team is being charged, as the replicas count it: for the"
            " shape, not for the sum, since what a replica counted after its last scrape is lost.",
            "suffix: credits/h",
            [Value("{{team}}", f"sum by (team) ({hour}) * 3600")],
            stacked=True,
        ),
        bars(
            "Prices against the catalogue",
            "Models, by how their configured price stands against the upstream's own list."
            " `cheaper` and `missing` cost more than the teams are charged.",
            "short",
            [Value("{{state}}", f"max by (state) (moongate_upstream_prices{{{HERE}}})")],
        ),
    ]


def money(runbook: str) -> Board:
    """The whole board."""
    teams = choice(
        "team",
        "Team",
        "The teams that have spent something, those that left the configuration included.",
        f"label_values(moongate_team_spent_credits{{{HERE}}}, team)",
        every=True,
        many=True,
    )
    about = "Who spent what, by team and model, from the ledger's own sums; and the shared account."
    board = Board("money", about, runbook, [teams], since="now-7d")
    first_screen(board)
    board.closed("How calls ended", *how_calls_ended())
    board.closed("The account", *the_account())
    return board
