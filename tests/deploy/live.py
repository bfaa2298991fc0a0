"""Asks the boards' questions, and sees an alert arrive, in a real installation under traffic: two
gateways, one of which is killed and started again in the middle."""

import tempfile
import time
from pathlib import Path

import questions
from metrics_page import live_problems
from questions import ALLOWED, BOARDS, Prometheus, Question
from report import TOOLS, Report
from world import GATEWAYS, World, get, program, until

Answers = dict[str, tuple[Question, list[tuple[dict, float]]]]


def ask_all(prometheus: Prometheus, boards: list[dict], seen: Answers, errors: dict) -> None:
    """Asks what has had no answer yet."""
    for question in (question for board in boards for question in questions.questions(board)):
        if question.name in seen:
            continue
        try:
            found = questions.answer(prometheus, question)
            errors.pop(question.name, None)
        except ValueError as error:
            errors[question.name] = f"{error}: {question.ask}"
            continue
        if found:
            seen[question.name] = (question, found)


def panel_table(seen: Answers) -> list[str]:
    """One line for each panel: its values, and how many series they are of."""
    lines: dict[tuple[str, str], list[str]] = {}
    for question, found in seen.values():
        shown = lines.setdefault((question.board, question.panel), [])
        labels, value = found[0]
        name = question.value
        for label, text in labels.items():
            name = name.replace(f"{{{{{label}}}}}", text)
        more = f" (+{len(found) - 1})" if len(found) > 1 else ""
        shown.append(f"{name}={value:.4g}{more}")
    return [f"{board:8}{panel}: {', '.join(shown)}" for (board, panel), shown in lines.items()]


def look_at_boards(report: Report, prometheus: Prometheus, world: World) -> None:
    """Every question has an answer, though a gateway was killed meanwhile."""
    boards = [questions.read(file) for file in BOARDS]
    seen: Answers = {}
    errors: dict[str, str] = {}
    asked = {question.name: question for board in boards for question in questions.questions(board)}

    def enough() -> bool:
        ask_all(prometheus, boards, seen, errors)
        return set(asked) - set(ALLOWED) <= set(seen)

    try:
        until("every question has an answer", enough, 60)
    except TimeoutError:
        pass
    empty = [f"no data: {name}: {asked[name].ask}" for name in asked if name not in seen]
    empty = [line for line in empty if not any(name in line for name in ALLOWED)]
    stale = [f"allowed to be empty, and is not: {name}" for name in ALLOWED if name in seen]
    stale += [f"allowed to be empty, and is gone: {name}" for name in ALLOWED if name not in asked]
    wrong = [f"{name}: {error}" for name, error in errors.items()] + empty + stale
    report.look(f"{len(asked)} questions of {len(boards)} boards have answers", wrong)
    for line in panel_table(seen):
        print(f"    {line}")

    offered = {board["uid"]: questions.choices(board, prometheus) for board in boards}
    lacking = [
        f"{uid}: ${name} offers nothing"
        for uid, choices in offered.items()
        for name, values in choices.items()
        if not values
    ]
    report.look(f"variables offer {offered}", lacking)
    restarts = "sum(changes(process_start_time_seconds[5m])) >= 1"
    until("Prometheus sees the restart", lambda: prometheus.now(restarts), 20)
    report.look("a gateway was killed and started again while it was watched", [])
    report.look("every rule can be evaluated", questions.rule_problems(prometheus))


def money(prometheus: Prometheus, column: str) -> dict[tuple[str, str], float]:
    """A column of the Money board's table: by team and model, without what is nothing."""
    board = next(board for board in map(questions.read, BOARDS) if board["uid"] == "moongate-money")
    question = next(
        question
        for question in questions.questions(board)
        if question.panel == "Who spent what, in credits" and question.value == column
    )
    found = questions.answer(prometheus, question)
    return {(labels["team"], labels["model"]): value for labels, value in found if value}


def reported(world: World, period: str, what: str) -> dict[tuple[str, str], float]:
    """The same as `moongate usage` reports it."""
    report = world.moongate("usage", "--period", period, "--by", "team,model")
    rows = {(row["team"], row["model"]): float(row[what]) for row in report["rows"]}
    return {key: value for key, value in rows.items() if value}


def last_month() -> str:
    """The month before this one, in UTC as the test's teams have it."""
    year, month = time.gmtime()[:2]
    return f"{year}-{month - 1:02}" if month > 1 else f"{year - 1}-12"


def look_at_money(report: Report, prometheus: Prometheus, world: World) -> None:
    """Once nothing is under way, the Money board says what the ledger says, to the credit."""
    columns = {"today": "today", "this month": "month", "in all": "all", "last month": last_month()}
    # A call that was cut off is settled by a sweep; then every gauge is read again.
    until("nothing is reserved", lambda: not any(open_calls(world)), 30)
    wrong, shown = [], {}
    for column, period in columns.items():

        def same(column=column, period=period) -> bool:
            shown[column] = money(prometheus, column)
            expected = reported(world, period, "cost")
            near = all(
                abs(expected[key] - shown[column][key]) < 1e-9
                for key in expected.keys() & shown[column].keys()
            )
            return shown[column].keys() == expected.keys() and near

        try:
            until(f"{column} is what the ledger says", same, 15)
        except TimeoutError:
            wrong.append(f"{column}: {shown[column]}, but: {reported(world, period, 'cost')}")
    calls: dict[tuple[str, str], float] = {}

    def same_calls() -> bool:
        # A call that cost nothing changes no credits, so these do not say that it was read.
        calls.clear()
        calls.update(money(prometheus, "calls this month"))
        return calls == reported(world, "month", "requests")

    try:
        until("the calls are what the ledger says", same_calls, 15)
    except TimeoutError:
        wrong.append(f"calls: {calls}, but: {reported(world, 'month', 'requests')}")
    if not shown["this month"]:
        wrong.append("nothing was spent")
    total = sum(shown["this month"].values())
    counted = sum(
        value for _, value in prometheus.now("sum(increase(moongate_team_credits_total[5m]))")
    )
    said = f"the Money board says what `moongate usage` says: {total:.6f} credits this month, "
    said += f"{sum(calls.values()):.0f} calls (the replicas' counters: {counted:.3f})"
    report.look(said, wrong)


def open_calls(world: World) -> list[float]:
    """What every gateway says is reserved."""
    found = []
    for one in GATEWAYS:
        text = get(f"http://{world.at(f'operator {one}')}/metrics").decode()
        lines = [
            line for line in text.splitlines() if line.startswith("moongate_reservations_open{")
        ]
        found += [float(line.rsplit(" ", 1)[1]) for line in lines]
    return found


def look_at_alert(report: Report, world: World) -> None:
    """A team that has used its budget up is told so by the Alertmanager, and of nothing else."""
    told = "/team/growth"

    def alerts() -> list[dict]:
        notices = [body for path, body in world.receiver.received if path == told]
        return [alert for notice in notices for alert in notice["alerts"]]

    wrong = []
    try:
        until("the team growth is told", alerts, 45)
    except TimeoutError:
        wrong.append(
            f"{told} was never told; others: {[path for path, _ in world.receiver.received]}"
        )
    names = {alert["labels"]["alertname"] for alert in alerts()}
    if names - {"MoongateTeamBudgetNearlyGone"}:
        wrong.append(f"what is inhibited or another's was told: {names}")
    for alert in alerts()[:1]:
        labels, notes = alert["labels"], alert["annotations"]
        if (labels["team"], labels["limit"]) != ("growth", "team:credits_per_month"):
            wrong.append(f"of another team or limit: {labels}")
        if not notes["runbook_url"].endswith("/runbook.md#moongateteambudgetnearlygone"):
            wrong.append(f"no way to the runbook: {notes}")
    for path, notice in world.receiver.received:
        if path != told and notice.get("commonLabels", {}).get("team") == "growth":
            wrong.append(f"{path} was told of another's budget")
    report.look(f"an alert reached its receiver through Alertmanager: {', '.join(names)}", wrong)


def main() -> None:
    report, gateway = Report("live"), program()
    if gateway is None:
        print(
            "live: NOT checked: the boards, money and alerts need MOONGATE, the gateway's program"
        )
        return
    with tempfile.TemporaryDirectory(dir=TOOLS) as folder, World(gateway, Path(folder)) as world:
        try:
            world.begin()
            world.watch()
            prometheus = Prometheus(f"http://{world.at('prometheus')}")
            world.work()
            until("both are scraped", lambda: len(prometheus.now("moongate_ledger_up == 1")) == 2)
            look_at_alert(report, world)
            world.kill("b")
            until("it is missed", lambda: prometheus.now('up{job="moongate"} == 0'), 20)
            world.serve("b")
            look_at_boards(report, prometheus, world)
            world.rest()
            look_at_money(report, prometheus, world)
            pages = [get(f"http://{world.at(f'operator {one}')}/metrics") for one in GATEWAYS]
            report.look("metrics.md says what /metrics shows", live_problems(pages))
        except (TimeoutError, OSError, ValueError) as error:
            report.look("the installation works", [repr(error), world.said()])
    report.end()


if __name__ == "__main__":
    main()
