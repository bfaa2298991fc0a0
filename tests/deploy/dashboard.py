"""Checks the boards' form: that they are what their source makes, and what Grafana would draw
wrongly or leave empty without a word."""

import re
import sys
import tempfile
from pathlib import Path

import forecast
from questions import BOARDS, panels, read
from report import DEPLOY, ROOT, Report
from rules import anchors

SOURCE = "${datasource}"
GRID = 24
# What is seen without scrolling on a screen of 1080 lines.
FIRST_SCREEN = 23
BUILT_IN = {"__rate_interval", "__interval", "__range"}


def outside(panel: dict) -> bool:
    """Whether a panel is not on the grid."""
    at = panel["gridPos"]
    return at["x"] < 0 or at["w"] < 1 or at["h"] < 1 or at["x"] + at["w"] > GRID


def overlap(one: dict, other: dict) -> bool:
    """Whether two panels lie on one another."""
    a, b = one["gridPos"], other["gridPos"]
    beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return not beside and not (a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"])


def place_problems(board: dict) -> list[str]:
    """What lies wrongly, as the board opens and with any one row open."""
    groups = [board["panels"], *(panel.get("panels", []) for panel in board["panels"])]
    wrong = []
    for group in groups:
        wrong += [f"`{one['title']}` is outside the grid" for one in group if outside(one)]
        for at, one in enumerate(group):
            on = [other for other in group[at + 1 :] if overlap(one, other)]
            wrong += [f"`{one['title']}` lies on `{other['title']}`" for other in on]
    for panel in board["panels"]:
        if panel["type"] == "row" and not panel["collapsed"]:
            wrong.append(f"row `{panel['title']}` is open")
        under = panel["gridPos"]["y"] + panel["gridPos"]["h"] > FIRST_SCREEN
        if panel["type"] != "row" and under:
            wrong.append(f"`{panel['title']}` is below the first screen, and in no row")
    return wrong


def target_problems(panel: dict, target: dict, variables: set[str]) -> list[str]:
    """What one question of a panel lacks."""
    name, wrong = f"`{panel['title']}` {target['refId']}", []
    if target["datasource"]["uid"] != SOURCE:
        wrong.append(f"{name} has a data source of its own")
    if not target.get("legendFormat"):
        wrong.append(f"{name} has no legend")
    used = {one.split(":")[0] for one in re.findall(r"\$\{?(\w+)", target["expr"])}
    unknown = used - variables - BUILT_IN
    wrong += [f"{name} uses ${one}, which is no variable" for one in sorted(unknown)]
    if re.search(r"\b(rate|increase)\([^()]*\[\d", target["expr"]):
        wrong.append(f"{name} has a fixed window where $__rate_interval belongs")
    return wrong


def panel_problems(panel: dict, variables: set[str], sections: set[str]) -> list[str]:
    """What one panel lacks."""
    title = panel.get("title", "")
    wrong = [] if title else [f"panel {panel['id']} has no title"]
    if len(panel.get("description", "")) < 20:
        wrong.append(f"`{title}` has no description")
    if not panel["fieldConfig"]["defaults"].get("unit"):
        wrong.append(f"`{title}` has no unit")
    if panel.get("datasource", {}).get("uid") != SOURCE:
        wrong.append(f"`{title}` has a data source of its own")
    if not panel.get("targets"):
        wrong.append(f"`{title}` asks for nothing")
    references = [target["refId"] for target in panel.get("targets", [])]
    if len(references) != len(set(references)):
        wrong.append(f"`{title}` has two targets of one refId")
    for link in panel.get("links", []):
        base, _, section = link["url"].partition("#")
        if base != "${runbook}" or section not in sections:
            wrong.append(f"`{title}` leads to {link['url']}, which is no section of the runbook")
    for target in panel.get("targets", []):
        wrong += target_problems(panel, target, variables)
    return wrong


def head_problems(board: dict, text: str) -> list[str]:
    """What a board as a whole lacks."""
    variables = {variable["name"] for variable in board["templating"]["list"]}
    version = board["schemaVersion"]
    wrong = [] if 39 <= version <= 41 else [f"schemaVersion {version}"]
    keys = ("uid", "title", "description", "tags", "time", "refresh")
    wrong += [f"no {key}" for key in keys if not board.get(key)]
    needed = ("datasource", "namespace", "team", "runbook")
    wrong += [f"no variable {name}" for name in needed if name not in variables]
    fixed = set(re.findall(r'"uid": "([^"]+)"', text)) - {SOURCE, board.get("uid")}
    wrong += [f"a fixed data source: {uid}" for uid in fixed]
    marks = {mark["name"] for mark in board["annotations"]["list"]}
    needed = {"Configuration taken", "Started", "Alert"}
    wrong += [f"no annotation {name}" for name in needed - marks]
    uids = {file.stem for file in BOARDS}
    leads = {link["url"].removeprefix("/d/") for link in board["links"]}
    missing = uids - {board["uid"]} | {"${runbook}"}
    wrong += [f"no link to {one}" for one in missing - leads]
    ids = [one["id"] for panel in board["panels"] for one in [panel, *panel.get("panels", [])]]
    return wrong + [f"id {one} is used twice" for one in set(ids) if ids.count(one) > 1]


def made(report: Report) -> None:
    """Whether the files are what the source makes, byte for byte."""
    with tempfile.TemporaryDirectory() as folder:
        make = str(DEPLOY / "grafana" / "boards" / "make.py")
        report.command("the source makes boards", sys.executable, make, "--out", folder)
        fresh = {file.name: file.read_text() for file in Path(folder).iterdir()}
    kept = {file.name: file.read_text() for file in BOARDS}
    differ = sorted(name for name in fresh | kept if fresh.get(name) != kept.get(name))
    make = Path(make).relative_to(ROOT)
    report.look("the boards are what it makes", [f"{name}: run {make}" for name in differ])


# What the runbook sets in italics and begins with a capital, and is no panel: a field of kubectl's
# and a section of README.md.
OTHERS = {"Last State", "Upgrading"}


def runbook_problems(boards: list[dict]) -> list[str]:
    """Panels that the runbook sends its reader to, and that are not there."""
    text = " ".join((DEPLOY / "runbook.md").read_text().split())
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", text)) - OTHERS
    there = {one["title"] for board in boards for one in [*board["panels"], *panels(board)]}
    return [f"there is no panel *{one}*" for one in sorted(named - there)]


def main() -> None:
    report = Report("dashboard")
    made(report)
    sections = anchors()
    for file in BOARDS:
        board = read(file)
        variables = {variable["name"] for variable in board["templating"]["list"]}
        problems = head_problems(board, file.read_text()) + place_problems(board)
        for panel in panels(board):
            problems += panel_problems(panel, variables, sections)
        seen = sum(panel["type"] != "row" for panel in board["panels"])
        what = f"{file.stem}: {seen} panels and {len(panels(board)) - seen} in closed rows"
        report.look(f"{what} have title, description, unit, legend, links and room", problems)
    team = next(board for board in map(read, BOARDS) if board["uid"] == "moongate-team")
    report.look("the Team board's forecasts are right, and never below zero", forecast.problems(team))
    report.look("the runbook's panels are there", runbook_problems(list(map(read, BOARDS))))
    report.end()


if __name__ == "__main__":
    main()
