"""Checks the rules: promtool's own checks and tests, and that every alert has a runbook section, a firing and a silent test.
And whom the Alertmanager's example tells."""

import re
import subprocess
import sys

import yaml
from report import DEPLOY, Report

PROMETHEUS = DEPLOY / "prometheus"
RESOURCE = DEPLOY / "kubernetes" / "components" / "monitoring" / "prometheusrule.yaml"
SAID = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
TESTS = ["rules_test.yaml", "objective_test.yaml", "budgets_test.yaml"]
# Where the runbook is until an overlay says otherwise; as in the boards.
RUNBOOK = "https://runbooks.example.com/moongate/runbook.md"
HEAD = """\
# Made from deploy/prometheus/rules.yaml by `python3 tests/deploy/rules.py --write`: change that
# file, not this one. kustomize cannot put a file into a resource's spec, and the rules are tested
# as Prometheus itself reads them.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: moongate
  labels:
    # What kube-prometheus-stack looks for, as in servicemonitor.yaml.
    release: kube-prometheus-stack
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
    wrong += [f"{name}: no {note}" for note in ("summary", "description", "runbook_url") if not notes.get(note)]
    if notes.get("runbook_url") != f"{RUNBOOK}#{name.lower()}" or name.lower() not in sections:
        wrong.append(f"{name}: its runbook section is not there")
    if name not in fires:
        wrong.append(f"{name}: no test in which it fires")
    if name not in silent:
        wrong.append(f"{name}: no test in which it is silent")
    return wrong


# Labels of an alert, and who is told.
ROUTES = [
    ({"severity": "page"}, "platform-pager"),
    ({"severity": "ticket"}, "platform-tickets"),
    ({"severity": "info"}, "nobody"),
    ({}, "platform-tickets"),
    ({"severity": "info", "team": "design"}, "team-design,nobody"),
    ({"severity": "info", "team": "growth"}, "team-growth,nobody"),
    ({"severity": "ticket", "team": "growth"}, "team-growth,platform-tickets"),
    ({"severity": "info", "team": "one without a route"}, "nobody"),
]


def alertmanager(report: Report, names: set[str]) -> None:
    """Checks the example: its form, whom it tells, and that what it silences is there."""
    file = PROMETHEUS / "alertmanager.yaml"
    report.command("amtool check-config", "amtool", "check-config", str(file))
    wrong = []
    for labels, told in ROUTES:
        command = ["amtool", "config", "routes", "test", f"--config.file={file}", f"--verify.receivers={told}"]
        done = subprocess.run(command + [f"{key}={value}" for key, value in labels.items()], capture_output=True, text=True)
        if done.returncode:
            wrong.append(f"{labels} should tell {told}, but tells {done.stdout.split(chr(10))[0]}")
    report.look(f"amtool config routes test, {len(ROUTES)} cases", wrong)
    rules = yaml.safe_load(file.read_text())["inhibit_rules"]
    matchers = [matcher for rule in rules for side in ("source_matchers", "target_matchers") for matcher in rule[side]]
    wrong = []
    for matcher in matchers:
        label, _, pattern = re.fullmatch(r'(\w+) (=|=~|!=) "(.+)"', matcher).groups()
        if label != "alertname" or not any(re.fullmatch(pattern, name) for name in names):
            wrong.append(f"{matcher} fits no alert")
    report.look(f"{len(rules)} rules that silence consequences fit alerts that are there", wrong)


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
    told = {case["alertname"] for case in cases for alert in case["exp_alerts"] if "team" in alert["exp_labels"]}
    about_a_team = {alert["alert"] for alert in alerts if "$labels.team" in str(alert["annotations"])}
    problems += [f"{name}: about a team, and no label says which" for name in sorted(about_a_team - told)]
    problems += [f"{name}: tested, but there is no such alert" for name in sorted((fires | silent) - names)]
    left = [one for one in sections if one.startswith("moongate") and one not in {name.lower() for name in names}]
    problems += [f"runbook section {one} belongs to no alert" for one in left]
    report.look(f"{len(alerts)} alerts have their words, their runbook section and their tests", problems)
    stale = [] if RESOURCE.read_text() == resource() else ["run: python3 tests/deploy/rules.py --write"]
    report.look("the PrometheusRule holds the rules", stale)
    report.command("promtool check rules", "promtool", "check", "rules", "rules.yaml", cwd=PROMETHEUS)
    report.command("promtool check config", "promtool", "check", "config", "prometheus.yaml", cwd=PROMETHEUS)
    # Side by side: some look at days.
    commands = {file: subprocess.Popen(["promtool", "test", "rules", file], cwd=PROMETHEUS, **SAID) for file in TESTS}
    said = [line for done in commands.values() for line in done.communicate()[0].splitlines()]
    failed = [file for file, done in commands.items() if done.returncode]
    report.look(f"promtool test rules, {len(cases)} cases", said if failed else [])
    alertmanager(report, names)
    report.end()


if __name__ == "__main__":
    main()
