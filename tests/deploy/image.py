"""Checks the image's recipe: the linter's rules, and that what the build needs is in the build's context."""

import re
import shutil
import tempfile
from pathlib import Path

from report import DEPLOY, ROOT, Report


def context(into: Path) -> None:
    """Lays out what .dockerignore lets through. It must be an allow-list: `*`, then `!path` lines."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*" and all(line.startswith("!") for line in lines[1:]), "not an allow-list"
    for line in lines[1:]:
        source, target = ROOT / line[1:], into / line[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.exists():
            shutil.copy(source, target)


def missing_files(top: Path) -> list[str]:
    """Files that the source takes in at build time and that are not in the context."""
    pattern = re.compile(r'include_(?:str|bytes)!\(\s*(concat!\(\s*env!\("CARGO_MANIFEST_DIR"\),\s*)?"([^"]+)"')
    missing = []
    for source in (top / "src").rglob("*.rs"):
        for from_top, name in pattern.findall(source.read_text()):
            base = top if from_top else source.parent
            if not (base / name.lstrip("/") if from_top else base / name).resolve().exists():
                missing.append(f"{source.relative_to(top)} takes in {name}, which .dockerignore keeps out")
    return missing


def secrets(top: Path) -> list[str]:
    """Names that no image should be built from."""
    bad = re.compile(r"\.(pem|key|p12|env|db)$|^\.git$|^target$|^node_modules$")
    return [f"{path.relative_to(top)} is in the context" for path in top.rglob("*") if bad.search(path.name)]


def unpinned(recipe: str) -> list[str]:
    """Bases that are named by a tag alone: what they are tomorrow, nobody has tested."""
    bases = re.findall(r"^FROM (\S+)", recipe, flags=re.MULTILINE)
    wrong = [f"{base} has no digest" for base in bases if not re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", base)]
    return wrong if bases else ["there is no base"]


def unlisted(recipe: str) -> list[str]:
    """What the recipe lacks for its crates to be known: in the binary for scanners, and as a file of the image."""
    steps, _, image = recipe.rpartition("\nFROM ")
    tools = [tool for tool in ("cargo auditable build", "cargo cyclonedx") if tool not in steps]
    wrong = [f"`{tool}` is not run" for tool in tools]
    return wrong + ([] if re.search(r"^COPY .*\.cdx\.json$", image, re.MULTILINE) else ["the list is not in the image"])


def main() -> None:
    report = Report("image")
    recipe = (DEPLOY / "Dockerfile").read_text()
    report.look("its bases are named by digest", unpinned(recipe))
    report.look("its crates are listed in the binary and in a file", unlisted(recipe))
    report.command("hadolint", "hadolint", "--config", str(DEPLOY / "hadolint.yaml"), str(DEPLOY / "Dockerfile"))
    report.command(
        "checkov", "checkov", "--file", str(DEPLOY / "Dockerfile"), "--framework", "dockerfile",
        "--config-file", str(Path(__file__).with_name("checkov.yaml")),
    )
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        context(top)
        report.look("the build's context has what the source takes in", missing_files(top))
        report.look("the build's context has no secret and no build directory", secrets(top))
        report.command(
            "cargo reads the build's context",
            "cargo", "metadata", "--no-deps", "--offline", "--format-version", "1",
            "--manifest-path", str(top / "Cargo.toml"),
        )
    report.end()


if __name__ == "__main__":
    main()
