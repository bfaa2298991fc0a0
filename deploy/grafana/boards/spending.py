"""Questions about money that two boards ask."""

from board import HERE


def spent(period: str, matchers: str = "") -> str:
    """Credits by team and model, as the ledger says; zero in a period without calls. Every replica
    shows the same, so the highest is the newest."""
    found = f'max by (team, model) (moongate_team_spent_credits{{{HERE}{matchers}, period="%s"}})'
    return found % period if period == "total" else f"{found % period} or 0 * {found % 'total'}"


def ended(period: str, matchers: str = "", outcome: str = ".*") -> str:
    """Calls by team and model that ended so; zero where none did."""
    found = f'{{{HERE}{matchers}, period="{period}", outcome=~"{outcome}"}}'
    each = f"max by (team, model, outcome) (moongate_team_calls{found})"
    none = f"0 * max by (team, model) (moongate_team_spent_credits{{{HERE}{matchers},"
    return f'sum by (team, model) ({each}) or {none} period="total"}})'


def pace(by: str, matchers: str = "") -> str:
    """Credits a second over the time range of the board, from the ledger's own sums."""
    total = (
        f"sum by ({by}) ({spent('total', matchers)})" if by else f"sum({spent('total', matchers)})"
    )
    return f"clamp_min(deriv(({total})[$__range:$__interval]), 0)"
