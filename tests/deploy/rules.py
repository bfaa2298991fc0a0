"""Checks the rules: promtool's own checks and tests, and that every alert has a runbook section, a firing and a silent test."""

import re
import sys

import yaml
from report import DEPLOY, Report

PROMETHEUS = DEPLOY / "prometheus"
RESOURCE = DEPLOY / "kubernetes" / "components" / "monitoring" / "prometheusrule.yaml"
TESTS = ["rules_test.yaml", "objective_test.yaml"]
HEAD = """\
# Made from deploy/prometheus/rules.yaml by `python3 tests/deploy/rules.py --write`: change that file, not this one.
# kustomize cannot put a file into a resource's spec, and the rules are tested as Prometheus itself reads them.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: moongate
spec:
"""


def resource() -> str:
    """The PrometheusRule that holds the rules."""
    body = (PROMETHEUS / "rules.yaml").read_text()
    body = body[body.index("groups:") :]
    return HEAD + "".join(f"  {line}" if line.strip() else line for line in body.splitlines(keepends=True))


def anchors() -> set[str]:
    """The anchors of the runbook's headings."""
    headings = re.findall(r"^#+ (.+)$", (DEPLOY / "runbook.md").read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def alert_problems(alert: dict, fires: set[str], silent: set[str], sections: set[str]) -> list[str]:
    """What is missing around one alert."""
    name, notes = alert["alert"], alert.get("annotations", {})
    wrong = []
    if alert.get("labels", {}).get("severity") not in ("page", "ticket", "info"):
        wrong.append(f"{name}: its severity is none of page, ticket, info")
    wrong += [f"{name}: no {note}" for note in ("summary", "description", "runbook") if not notes.get(note)]
    if notes.get("runbook") != f"deploy/runbook.md#{name.lower()}" or name.lower() not in sections:
        wrong.append(f"{name}: its runbook section is not there")
    if name not in fires:
        wrong.append(f"{name}: no test in which it fires")
    if name not in silent:
        wrong.append(f"{name}: no test in which it is silent")
    return wrong


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        RESOURCE.write_text(resource())
        return
    report = Report("rules")
    rules = [rule for group in yaml.safe_load((PROMETHEUS / "rules.yaml").read_text())["groups"] for rule in group["rules"]]
    alerts = [rule for rule in rules if "alert" in rule]
    cases = [
        case
        for file in TESTS
        for test in yaml.safe_load((PROMETHEUS / file).read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}
    sections = anchors()
    problems = [problem for alert in alerts for problem in alert_problems(alert, fires, silent, sections)]
    names = {alert["alert"] for alert in alerts}
    problems += [f"{name}: tested, but there is no such alert" for name in sorted((fires | silent) - names)]
    left = [one for one in sections if one.startswith("moongate") and one not in {name.lower() for name in names}]
    problems += [f"runbook section {one} belongs to no alert" for one in left]
    report.look(f"{len(alerts)} alerts have their words, their runbook section and their tests", problems)
    stale = [] if RESOURCE.read_text() == resource() else ["run: python3 tests/deploy/rules.py --write"]
    report.look("the PrometheusRule holds the rules", stale)
    report.command("promtool check rules", "promtool", "check", "rules", "rules.yaml", cwd=PROMETHEUS)
    report.command("promtool check config", "promtool", "check", "config", "prometheus.yaml", cwd=PROMETHEUS)
    report.command(f"promtool test rules, {len(cases)} cases", "promtool", "test", "rules", *TESTS, cwd=PROMETHEUS)
    report.end()


if __name__ == "__main__":
    main()
