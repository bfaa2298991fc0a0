"""Holds deploy/metrics.md against what gateways show: every metric is there, with its type."""

import re

from report import DEPLOY

ROW = re.compile(r"\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|")


def documented() -> dict[str, str]:
    """Every metric of the reference, with its type."""
    rows = ROW.findall((DEPLOY / "metrics.md").read_text())
    return {name: kind for name, kind, *_ in rows}


def live_problems(pages: list[bytes]) -> list[str]:
    """What /metrics shows otherwise than the reference says."""
    shown: dict[str, str] = {}
    for page in pages:
        shown |= dict(re.findall(r"^# TYPE (\w+) (\w+)$", page.decode(), flags=re.MULTILINE))
    said = documented()
    wrong = [f"{name} is not in it" for name in shown if name not in said]
    for name, kind in said.items():
        if name in shown and kind != shown[name]:
            wrong.append(f"{name} is a {shown[name]}, not a {kind}")
    # Nearly all of it must have been seen, or this looked at nothing.
    unseen = [name for name in said if name not in shown]
    return wrong + ([f"never seen: {unseen}"] if len(unseen) > 3 else [])
