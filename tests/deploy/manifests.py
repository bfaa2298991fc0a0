"""Renders base, overlays and components with kustomize, validates what comes out, and checks our own promises in it."""

import os
import re
import tempfile
from pathlib import Path

import yaml
from promises import SECRETS, broken, only
from report import DEPLOY, TOOLS, Report

KUBERNETES = DEPLOY / "kubernetes"
# The oldest Kubernetes that deploy/kubernetes/README.md names, and the newest whose schemas there
# are.
VERSIONS = ("1.30", "1.37")
# Kinds that only custom_resources.mjs knows.
CUSTOM = ("monitoring.coreos.com/", "gateway.networking.k8s.io/", "external-secrets.io/", "cert-manager.io/")
# Components that go with others, in the order in which they are listed.
TOGETHER = [
    ["ingress", "pod-tls"],
    ["httproute", "pod-tls", "pod-tls-httproute"],
    ["external-secrets", "openshift"],
]
# What only makes sense beside others.
NEVER_ALONE = {"pod-tls-httproute"}


def render(report: Report, name: str, folder: Path, out: Path) -> list[dict]:
    """Renders one kustomization into `out`; gives its resources."""
    text = report.command(f"{name}: kustomize renders it", "kubectl", "kustomize", str(folder))
    out.write_text(text)
    return [resource for resource in yaml.safe_load_all(text) if resource]


def validate(report: Report, name: str, rendered: Path, resources: list[dict]) -> None:
    """Validates Kubernetes' own kinds and the custom ones, both strictly."""
    own = [resource for resource in resources if not resource["apiVersion"].startswith(CUSTOM)]
    plain = rendered.with_suffix(".own.yaml")
    plain.write_text(yaml.safe_dump_all(own))
    for version in VERSIONS:
        command = ["kubernetes-validate", "--strict", "--quiet", "-k", version, str(plain)]
        report.command(f"{name}: {len(own)} resources are valid in Kubernetes {version}", *command)
    if len(own) < len(resources):
        what = f"{name}: {len(resources) - len(own)} custom resources are valid"
        report.command(what, "node", str(TOOLS / "node" / "custom_resources.mjs"), str(rendered))


def with_components(components: list[str], into: Path) -> Path:
    """A kustomization of the base and components; paths in it must be relative."""
    folder = into / "-".join(components)
    folder.mkdir()
    relative = {
        "resources": [os.path.relpath(KUBERNETES / "base", folder.resolve())],
        "components": [os.path.relpath(KUBERNETES / "components" / one, folder.resolve()) for one in components],
    }
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(head | relative))
    return folder


def configuration(report: Report, name: str, resources: list[dict], folder: Path) -> None:
    """Has the gateway itself check the configuration, with stand-ins for the secrets it names."""
    program = os.environ.get("MOONGATE")
    if not program:
        return
    secrets = folder / f"{name}-secrets"
    secrets.mkdir()
    text = only(resources, "ConfigMap")["data"]["moongate.yaml"].replace(SECRETS, str(secrets))
    for file in re.findall(rf"{re.escape(str(secrets))}/([\w.-]+)", text):
        (secrets / file).write_text("0" * 64)
    file = folder / f"{name}-moongate.yaml"
    file.write_text(text)
    report.command(f"{name}: moongate accepts its configuration", str(Path(program).resolve()), "check", "--config", str(file))


def copies(report: Report) -> None:
    """A component's configuration is the base's, but for the one section that its first line names."""
    base = yaml.safe_load((KUBERNETES / "base" / "moongate.yaml").read_text())
    wrong, seen = [], 0
    for file in sorted((KUBERNETES / "components").glob("*/moongate.yaml")):
        text = file.read_text()
        section = re.match(r"# As ../../base/moongate.yaml, but for `(\w+)`.\n", text)[1]
        other = yaml.safe_load(text)
        differ = sorted(key for key in base | other if base.get(key) != other.get(key))
        wrong += [] if differ == [section] else [f"{file.parent.name}: differs in {differ}, not in {section}"]
        seen += 1
    report.look(f"{seen} components' configurations follow the base's", wrong if seen else ["there are none"])


def page(report: Report) -> None:
    """The page names the versions that are looked at, and every component and overlay."""
    text = (KUBERNETES / "README.md").read_text()
    wrong = [] if f"| Kubernetes | {VERSIONS[0]} |" in text else [f"Kubernetes {VERSIONS[0]} is not what it names"]
    wrong += [f"the schemas of {version} are not named" for version in VERSIONS if version not in text]
    folders = [*(KUBERNETES / "components").iterdir(), *(KUBERNETES / "overlays").iterdir()]
    wrong += [f"{one.name} is not on it" for one in folders if f"{one.name}`" not in text]
    report.look("deploy/kubernetes/README.md names versions, overlays and components", wrong)


def sources(folder: Path, title: str) -> list[Path]:
    """The files that a rendering brings itself, beside the base's."""
    brought = [KUBERNETES / "components" / one for one in title.split() if title.startswith("component")]
    return [file for one in [folder, *brought] if one.is_dir() for file in one.iterdir()]


def main() -> None:
    report = Report("manifests")
    copies(report)
    page(report)
    with tempfile.TemporaryDirectory(dir=TOOLS) as name:
        work = Path(name)
        folders = {"base": KUBERNETES / "base"}
        folders |= {f"overlay {one.name}": one for one in sorted((KUBERNETES / "overlays").iterdir())}
        alone = [[one.name] for one in sorted((KUBERNETES / "components").iterdir()) if one.name not in NEVER_ALONE]
        for components in alone + TOGETHER:
            folders[f"component {' + '.join(components)}"] = with_components(components, work)
        for at, (title, folder) in enumerate(folders.items()):
            rendered = work / f"{at}.yaml"
            resources = render(report, title, folder, rendered)
            if not resources:
                continue
            is_overlay = title.startswith("overlay")
            validate(report, title, rendered, resources)
            report.look(f"{title}: its parts fit each other", broken(resources, is_overlay))
            if any(file.name == "moongate.yaml" for file in sources(folder, title)):
                configuration(report, re.sub(r"\W+", "-", title), resources, work)
            if is_overlay:
                config = str(Path(__file__).with_name("checkov.yaml"))
                what = f"{title}: checkov"
                report.command(what, "checkov", "--file", str(rendered), "--framework", "kubernetes", "--config-file", config)
    report.end()


if __name__ == "__main__":
    main()
