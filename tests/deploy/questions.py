"""Asks a Prometheus every question of the boards: panels, variables, annotations."""

import json
import math
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from report import DEPLOY

BOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
RANGE = 120

# What has no value for every team or budget is asked for the one that has all.
CHOSEN = {"team": "design", "budget": "team:credits_per_month"}

# Questions that may stay empty, as `board / panel / value`, each with the reason why no traffic of
# a test can fill it. An entry that has data, or is gone, is an error: the list must not outlive its
# reasons.
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

    def now(self, expression: str) -> list[tuple[dict, float]]:
        """Every series as it is now: its labels and its value."""
        found = self.ask("query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def over_time(self, expression: str, step: str = "1") -> list[tuple[dict, list]]:
        """Every series over the range: its labels and its finite values with their times."""
        until = time.time()
        start = f"{until - RANGE}"
        found = self.ask("query_range", query=expression, start=start, end=f"{until}", step=step)
        return [(series["metric"], finite(series["values"])) for series in found["result"]]


def finite(values: list) -> list[tuple[float, float]]:
    """Times and values without what no panel can draw."""
    numbers = ((float(at), float(value)) for at, value in values)
    return [(at, value) for at, value in numbers if math.isfinite(value)]


@dataclass
class Question:
    """One expression of a board."""

    board: str
    panel: str
    value: str
    ask: str
    is_now: bool

    @property
    def name(self) -> str:
        """What people find it by."""
        return f"{self.board} / {self.panel} / {self.value}"


def variables(board: dict) -> dict[str, str]:
    """What every variable of a board is taken to be: `All`, where that is offered."""
    own = {}
    for one in board["templating"]["list"]:
        own[one["name"]] = one.get("allValue") or CHOSEN.get(one["name"], "")
    built_in = {"__rate_interval": "10s", "__interval": "1s", "__range": f"{RANGE}s"}
    return own | built_in


def fill(text: str, values: dict[str, str]) -> str:
    """The text without variables; `KeyError` for one that does not exist."""
    return re.sub(r"\$\{?(\w+)(?::\w+)?\}?", lambda name: values[name.group(1)], text)


def panels(board: dict) -> list[dict]:
    """Every panel, those in closed rows too, without the rows."""
    inner = [one for panel in board["panels"] for one in [panel, *panel.get("panels", [])]]
    return [panel for panel in inner if panel["type"] != "row"]


def questions(board: dict) -> list[Question]:
    """Every expression of a board, with a name for people."""
    values, name = variables(board), board["uid"].removeprefix("moongate-")
    found = [
        Question(
            name,
            fill(panel["title"], values),
            target["legendFormat"],
            fill(target["expr"], values),
            bool(target.get("instant")),
        )
        for panel in panels(board)
        for target in panel["targets"]
    ]
    for mark in board["annotations"]["list"]:
        found.append(Question(name, "annotations", mark["name"], fill(mark["expr"], values), False))
    return found


def choices(board: dict, prometheus: Prometheus) -> dict[str, list[str]]:
    """What every variable offers that asks for its values."""
    offered = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            query = fill(variable["query"]["query"], variables(board))
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()
            found = prometheus.ask(f"label/{label}/values", **{"match[]": selector})
            offered[variable["name"]] = found
    return offered


def answer(prometheus: Prometheus, question: Question) -> list[tuple[dict, float]]:
    """Every series that has a number, with its last one."""
    if question.is_now:
        found = prometheus.now(question.ask)
        return [(labels, value) for labels, value in found if math.isfinite(value)]
    found = prometheus.over_time(question.ask)
    return [(labels, values[-1][1]) for labels, values in found if values]


def read(file: Path) -> dict:
    """A board, from its file."""
    return json.loads(file.read_text())


def rule_problems(prometheus: Prometheus) -> list[str]:
    """Rules that Prometheus could not evaluate."""
    groups = prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    if not rules:
        return ["no rules are loaded"]
    bad = [rule for rule in rules if rule["health"] == "err"]
    return [f"rule {rule['name']}: {rule.get('lastError', rule['health'])}" for rule in bad]
