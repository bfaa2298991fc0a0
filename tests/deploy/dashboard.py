"""Checks the dashboard's form: what Grafana would draw wrongly or leave empty without a word."""

import json
import re

from report import DEPLOY, Report

FILE = DEPLOY / "grafana" / "moongate.json"
SOURCE = "${datasource}"


def overlaps(panels: list[dict]) -> list[str]:
    """Pairs of panels that lie on one another, and panels outside the grid of 24 columns."""
    wrong = []
    for at, one in enumerate(panels):
        a = one["gridPos"]
        if a["x"] < 0 or a["w"] < 1 or a["h"] < 1 or a["x"] + a["w"] > 24:
            wrong.append(f"`{one['title']}` is outside the grid")
        for other in panels[at + 1 :]:
            b = other["gridPos"]
            beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
            if not beside and not (a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]):
                wrong.append(f"`{one['title']}` lies on `{other['title']}`")
    return wrong


def panel_problems(panel: dict, variables: set[str]) -> list[str]:
    """What one panel lacks."""
    title = panel.get("title", "")
    wrong = [f"panel {panel['id']} has no title"] if not title else []
    if panel["type"] == "row":
        return wrong
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
    for target in panel.get("targets", []):
        if target["datasource"]["uid"] != SOURCE:
            wrong.append(f"`{title}` {target['refId']} has a data source of its own")
        if not target.get("legendFormat"):
            wrong.append(f"`{title}` {target['refId']} has no legend")
        used = {name.split(":")[0] for name in re.findall(r"\$\{?(\w+)", target["expr"])}
        unknown = used - variables - {"__rate_interval", "__interval", "__range"}
        wrong += [f"`{title}` {target['refId']} uses ${name}, which is no variable" for name in sorted(unknown)]
        if re.search(r"\b(rate|increase)\([^()]*\[\d", target["expr"]) and "[1h]" not in target["expr"]:
            wrong.append(f"`{title}` {target['refId']} has a fixed window where $__rate_interval belongs")
    return wrong


def main() -> None:
    report = Report("dashboard")
    text = FILE.read_text()
    board = json.loads(text)
    panels = board["panels"]
    variables = {variable["name"] for variable in board["templating"]["list"]}
    head = [] if 39 <= board["schemaVersion"] <= 41 else [f"schemaVersion {board['schemaVersion']}"]
    head += [f"no {key}" for key in ("uid", "title", "description", "tags", "time", "refresh") if not board.get(key)]
    head += [f"no variable {name}" for name in ("datasource", "team", "model") if name not in variables]
    head += [f"a fixed data source: {uid}" for uid in set(re.findall(r'"uid": "([^"]+)"', text)) - {SOURCE, board.get("uid")}]
    report.look("its head and its variables", head)
    ids = [panel["id"] for panel in panels]
    report.look("panels have ids of their own", [f"id {one} is used twice" for one in sorted(ids) if ids.count(one) > 1])
    report.look("panels lie side by side", overlaps(panels))
    problems = [problem for panel in panels for problem in panel_problems(panel, variables)]
    report.look(f"{len(panels)} panels have title, description, unit, legend and data source", problems)
    report.end()


if __name__ == "__main__":
    main()
