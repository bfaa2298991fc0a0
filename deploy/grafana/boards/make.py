#!/usr/bin/env python3
"""Makes the boards' JSON, which Grafana imports as it is.

pip install -r deploy/grafana/boards/requirements.txt
deploy/grafana/boards/make.py                       after a change of the source
deploy/grafana/boards/make.py --runbook https://wiki.example.com/moongate --out FOLDER
"""

import argparse
import json
from pathlib import Path

from board import ANNOTATIONS, RUNBOOK
from gateway import gateway
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from money import money
from team import team

FOLDER = Path(__file__).resolve().parents[1]


def boards(runbook: str) -> dict[str, str]:
    """The text of every file, by its name."""
    made = {}
    for build in (gateway, team, money):
        encoder = JSONEncoder()
        board = json.loads(encoder.encode(build(runbook).build()))
        # The SDK's annotations lack what Prometheus' have.
        marks = [json.loads(encoder.encode(query)) | extra for query, extra in ANNOTATIONS]
        board["annotations"] = {"list": marks}
        made[f"{board['uid']}.json"] = json.dumps(board, indent=2, sort_keys=True) + "\n"
    return made


def main() -> None:
    arguments = argparse.ArgumentParser(description="Makes the boards' JSON.")
    about = "where your runbook is, up to the # of a section"
    arguments.add_argument("--runbook", default=RUNBOOK, help=about)
    arguments.add_argument("--out", type=Path, default=FOLDER, help="where the files go")
    given = arguments.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name, text in boards(given.runbook).items():
        (given.out / name).write_text(text)


if __name__ == "__main__":
    main()
