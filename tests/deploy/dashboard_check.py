#!/usr/bin/env python3
"""Asks a Prometheus every question of the dashboard and fails on an error or on an answer without a number.

    dashboard_check.py --prometheus http://127.0.0.1:9090 --wait 60

The Prometheus must have scraped a gateway under traffic (scrape.yaml is its configuration). Variables are taken as
`All`, `$__rate_interval` as ten scrapes. A question that has no answer yet is asked again until --wait is over.
Needs nothing but Python.
"""

import argparse
import json
import math
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

DASHBOARD = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "moongate.json"

# Panels that may stay empty, by title, each with the reason why no traffic of a test can fill it. An entry whose panel
# has data, or is gone, is an error: the list must not outlive its reasons.
ALLOWED: dict[str, str] = {}


class Prometheus:
    """The few calls of Prometheus' HTTP API that are needed."""

    def __init__(self, url: str):
        self.url = url.rstrip("/")

    def ask(self, path: str, **parameters: str):
        """The `data` of an answer; `ValueError` with Prometheus' own words when it refuses."""
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error).get("error", str(error))) from None

    def numbers(self, expression: str, seconds: int) -> int:
        """How many finite numbers the expression gives over the last so many seconds."""
        now = time.time()
        data = self.ask("query_range", query=expression, start=f"{now - seconds}", end=f"{now}", step="1")
        values = (float(value) for series in data["result"] for _, value in series["values"])
        return sum(1 for value in values if math.isfinite(value))


class Variables:
    """Puts Grafana's variables into an expression as `All` would."""

    def __init__(self, board: dict, seconds: int):
        built_in = {"__rate_interval": "10s", "__interval": "1s", "__range": f"{seconds}s", "__range_s": f"{seconds}"}
        own = {one["name"]: one.get("allValue") or ".*" for one in board["templating"]["list"]}
        self.values = own | built_in

    def fill(self, text: str) -> str:
        """The text without variables; `KeyError` for one that does not exist."""
        return re.sub(r"\$\{?(\w+)(?::\w+)?\}?", lambda name: self.values[name.group(1)], text)


def questions(board: dict) -> list[tuple[str, str]]:
    """Every expression of the dashboard, with a name for people: panels, annotations."""
    found = []
    for panel in board["panels"]:
        for inner in [panel, *panel.get("panels", [])]:
            found += [(f"{inner['title']} / {target['refId']}", target["expr"]) for target in inner.get("targets", [])]
    for annotation in board["annotations"]["list"]:
        if "expr" in annotation:
            found.append((f"annotation {annotation['name']}", annotation["expr"]))
    return found


def variable_problem(prometheus: Prometheus, variables: Variables, variable: dict) -> str | None:
    """Why a variable would offer no choice; `None` when it does."""
    if variable["type"] != "query":
        return None
    query = variable["query"]["query"]
    form = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
    if not form:
        return f"cannot read {query}"
    selector, label = form.groups()
    values = prometheus.ask(f"label/{label}/values", **{"match[]": variables.fill(selector)})
    return None if values else f"{query} offers nothing"


def answer_problem(prometheus: Prometheus, expression: str, seconds: int) -> str | None:
    """Why a question has no answer; `None` when it has one."""
    try:
        return None if prometheus.numbers(expression, seconds) else f"no data: {expression}"
    except ValueError as error:
        return f"{error}: {expression}"


def rule_problems(prometheus: Prometheus) -> list[str]:
    """Rules that Prometheus could not evaluate."""
    groups = prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    if not rules:
        return ["no rules are loaded"]
    return [f"rule {rule['name']}: {rule.get('lastError', rule['health'])}" for rule in rules if rule["health"] == "err"]


def unanswered(prometheus: Prometheus, board: dict, seconds: int) -> dict[str, str]:
    """Every question and variable without an answer, with the reason."""
    variables = Variables(board, seconds)
    problems = {}
    for name, expression in questions(board):
        problems[name] = answer_problem(prometheus, variables.fill(expression), seconds)
    for variable in board["templating"]["list"]:
        problems[f"variable {variable['name']}"] = variable_problem(prometheus, variables, variable)
    return {name: problem for name, problem in problems.items() if problem}


def main() -> None:
    arguments = argparse.ArgumentParser(description="Asks a Prometheus every question of the dashboard.")
    arguments.add_argument("--prometheus", required=True, help="its address, http://127.0.0.1:9090")
    arguments.add_argument("--dashboard", type=Path, default=DASHBOARD)
    arguments.add_argument("--range", type=int, default=120, help="how many seconds back to ask for")
    arguments.add_argument("--wait", type=float, default=0, help="how many seconds to go on asking for what has no answer")
    given = arguments.parse_args()

    prometheus = Prometheus(given.prometheus)
    board = json.loads(given.dashboard.read_text())
    asked = questions(board)
    deadline = time.monotonic() + given.wait
    while True:
        problems = unanswered(prometheus, board, given.range)
        empty = {name: problem for name, problem in problems.items() if name.split(" / ")[0] not in ALLOWED}
        if not empty or time.monotonic() > deadline:
            break
        time.sleep(1)

    titles_without = {name.split(" / ")[0] for name in problems}
    wrong = [f"{name}: {problem}" for name, problem in empty.items()]
    wrong += [f"allowed to be empty, and is not: {title}" for title in ALLOWED if title not in titles_without]
    wrong += rule_problems(prometheus)
    for line in wrong:
        print(f"dashboard: FAILED: {line}")
    if not wrong:
        print(f"dashboard: ok: {len(asked)} questions and {len(board['templating']['list'])} variables have answers")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
