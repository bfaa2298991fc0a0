"""One way of saying what was looked at and what is wrong, for all checks of deploy/."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = ROOT / "target" / "deploy-checks"


class Report:
    """Collects problems of one part; ends the program with a failure when there were any."""

    def __init__(self, part: str):
        self.part = part
        self.problems = 0

    def look(self, what: str, problems: list[str]) -> None:
        """Says that something was looked at, and each thing that is wrong with it."""
        print(f"{self.part}: {'ok' if not problems else 'FAILED'}: {what}", flush=True)
        for problem in problems:
            print(f"    {problem}", flush=True)
        self.problems += len(problems)

    def command(self, what: str, *command: str, cwd: Path = ROOT) -> str:
        """Runs a command that must succeed; says what it said when it does not. Gives its standard output."""
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
        said = (done.stdout + done.stderr).strip().splitlines()
        self.look(what, said + [f"exit code {done.returncode}"] if done.returncode else [])
        return done.stdout

    def end(self) -> None:
        """Ends the program."""
        sys.exit(1 if self.problems else 0)
