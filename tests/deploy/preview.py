#!/usr/bin/env python3
"""Draws what the boards show of a real installation under traffic, into deploy/screenshots: our
own preview, not Grafana's picture. Needs Chromium, and what tests/deploy/run installs.

    MOONGATE=target/debug/moongate tests/deploy/preview.py
"""

import html
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import questions
from drawing import COLUMN, GAP, LINE, drawn
from questions import BOARDS, Prometheus
from report import DEPLOY, TOOLS
from world import World, program, until

SECONDS = 150
STYLE = """
body { margin: 0; background: #111217; color: #ccccdc; font: 13px/1.3 sans-serif }
header { padding: 12px 10px 8px } header b { font-size: 19px; margin-right: 14px }
header em { color: #f2cc0c; font-style: normal; float: right }
main { position: relative; margin-left: 6px }
section { position: absolute; background: #181b1f; border: 1px solid #2c3235; overflow: hidden;
  box-sizing: border-box; padding: 4px 8px }
section.row { background: none; border: none } h2 { font-size: 13px; margin: 0 0 2px }
.numbers { display: flex; height: 75% } .numbers div { flex: 1; text-align: center }
.numbers small { display: block; font-size: 11px; color: #9fa7b3 }
.numbers b { line-height: 34px; white-space: nowrap }
svg text { fill: #9fa7b3; font-size: 11px } .grid { stroke: #2c3235 }
.legend { line-height: 16px } .legend span { display: inline-block; margin-right: 10px; font-size: 11px }
.legend i { display: inline-block; width: 10px;
  height: 3px; margin: 0 4px 3px 0 }
table { width: 100%; border-collapse: collapse } th { text-align: left; color: #8ab8ff }
td, th { padding: 4px 6px; border-bottom: 1px solid #2c3235; white-space: nowrap }
.number { text-align: right; font-variant-numeric: tabular-nums } .total td { font-weight: bold }
.bars div { margin: 8px 0 } .bars span { display: inline-block; width: 90px }
.bars i { display: inline-block; height: 16px; background: #73bf69; vertical-align: middle }
.bars b { margin-left: 8px }
"""


def picture(board: dict, prometheus: Prometheus, folder: Path) -> None:
    """Draws one board as it opens."""
    values = questions.variables(board)
    parts, bottom = [], 0
    for panel in board["panels"]:
        title = questions.fill(panel["title"], values)
        answers = []
        for target in panel.get("targets", []):
            ask = questions.fill(target["expr"], values)
            found = prometheus.now(ask) if target.get("instant") else None
            series = [(labels, [(0, value)]) for labels, value in found or []]
            answers.append((target["legendFormat"], series or prometheus.over_time(ask)))
        parts.append(drawn(panel, title, answers))
        bottom = max(bottom, panel["gridPos"]["y"] + panel["gridPos"]["h"])
    label = "Preview drawn by tests/deploy/preview.py from a test installation; not Grafana"
    head = f"<header><b>{html.escape(board['title'])}</b>{html.escape(board['description'])}"
    head += f"<em>{label}</em></header>"
    page = folder / f"{board['uid']}.html"
    style = f"<style>{STYLE}</style>"
    body = f'<main style="height:{bottom * LINE}px">{"".join(parts)}</main>'
    page.write_text(f'<!doctype html><meta charset="utf-8">{style}{head}{body}')
    out = DEPLOY / "screenshots" / f"{board['uid']}.png"
    out.parent.mkdir(exist_ok=True)
    size = f"{24 * COLUMN + 12},{bottom * LINE + 50 + GAP}"
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", *quiet]
    command += [f"--user-data-dir={folder / 'chromium'}", "--hide-scrollbars"]
    command += [f"--window-size={size}", f"--screenshot={out}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    print(f"drawn: {out.relative_to(DEPLOY.parent)}")


def main() -> None:
    gateway = program()
    if gateway is None:
        sys.exit("MOONGATE must name the gateway's program")
    with tempfile.TemporaryDirectory(dir=TOOLS) as name, World(gateway, Path(name)) as world:
        world.begin()
        world.watch(patient=True)
        prometheus = Prometheus(f"http://{world.at('prometheus')}")
        world.work()
        began = time.monotonic()
        until("traffic", lambda: time.monotonic() - began > SECONDS / 2, SECONDS)
        world.kill("b")
        world.serve("b")
        until("more of it", lambda: time.monotonic() - began > SECONDS, SECONDS)
        for file in BOARDS:
            picture(questions.read(file), prometheus, Path(name))


if __name__ == "__main__":
    main()
