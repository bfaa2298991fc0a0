"""What the Team board says of budgets at a pace that is known, asked of promtool instead of a running Prometheus."""

import json
import subprocess
import tempfile
from pathlib import Path

from questions import fill, panels, variables

HOUR = 3600
NOW, RESET = 2 * HOUR, 3 * HOUR
# One credit goes each second, and the windows end in an hour: how much each budget allows, and how
# much of it is gone.
BUDGETS = {
    "team:credits_per_month": (100_000, 300, RESET),
    "team:credits_per_day": (1_000, 400, RESET),
    "team:credits_total": (5_000, 1_000, None),
}
# The month's budget lasts; the day's does not, so that nothing of it is left; what is prepaid has
# no reset.
TABLE = "Budgets in credits, and how long they last"
EXPECTED = {
    (TABLE, "left"): [99_700, 600, 4_000],
    (TABLE, "lasts"): [HOUR, 600, 4_000],
    (TABLE, "left then"): [99_700 - HOUR, 0, None],
    ("team:credits_per_day: what is left", "left at the reset"): [None, 0, None],
}


def series() -> list[dict]:
    """What two replicas report for two hours, a sample each minute."""
    found = []
    for instance in "ab":
        of = f'namespace="production", job="moongate", instance="{instance}", team="design"'
        spent = f'moongate_team_spent_credits{{{of}, model="flux/dev", period="total"}}'
        found.append({"series": spent, "values": "0+60x120"})
        for limit, (allowed, used, reset) in BUDGETS.items():
            numbers = {"": allowed, "_used": used, "_reset_timestamp_seconds": reset}
            for name, value in numbers.items():
                if value is not None:
                    one = f'moongate_limit{name}{{{of}, limit="{limit}"}}'
                    found.append({"series": one, "values": f"{value}x120"})
    return found


def problems(board: dict) -> list[str]:
    """Where the board says something else than what is to be expected."""
    values = variables(board) | {"budget": "team:credits_per_day"}
    values |= {"__range": f"{HOUR}s", "__interval": "60s"}
    asked = {
        (fill(panel["title"], values), target["legendFormat"]): fill(target["expr"], values)
        for panel in panels(board)
        for target in panel["targets"]
    }
    cases = []
    for name, numbers in EXPECTED.items():
        if name not in asked:
            return [f"there is no {name}"]
        told = zip(BUDGETS, numbers, strict=True)
        samples = [
            {"labels": f'{{limit="{limit}", team="design"}}', "value": number}
            for limit, number in told
            if number is not None
        ]
        # The pace is a fit, and may be off in its last digits.
        cases.append(
            {"expr": f"round({asked[name]}, 0.001)", "eval_time": f"{NOW}s", "exp_samples": samples}
        )
    test = {"interval": "1m", "input_series": series(), "promql_expr_test": cases}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "forecast_test.yaml"
        # JSON is YAML.
        file.write_text(json.dumps({"rule_files": [], "tests": [test]}))
        done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True)
    return (done.stdout + done.stderr).splitlines() if done.returncode else []
