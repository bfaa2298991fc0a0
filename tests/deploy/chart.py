"""Lints and renders the Helm chart with Helm's own code (the library that PyPI's helm-python-sdk carries), and holds what
comes out against the kustomize base, whose copy it is."""

import re
import tempfile
from pathlib import Path

import helm_python
import yaml
from manifests import KUBERNETES, VERSIONS, configuration, validate
from promises import broken
from report import DEPLOY, TOOLS, Report

CHART = DEPLOY / "helm" / "moongate"
CONFIG = (KUBERNETES / "base" / "moongate.yaml").read_text()
DIGEST = f"sha256:{'5' * 64}"
# Everything that is off or empty by default.
EVERYTHING = {
    "config": CONFIG,
    "image": {"repository": "registry.example.com/moongate", "digest": DIGEST, "pullSecrets": [{"name": "pull"}]},
    "podAnnotations": {"example.com/team": "platform"},
    "podLabels": {"example.com/tier": "gateway"},
    "serviceAccount": {"annotations": {"example.com/role": "moongate"}},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "gateways", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "service": {"type": "LoadBalancer", "annotations": {"example.com/internal": "true"}},
    "serviceMonitor": {"enabled": True},
    "ingress": {"enabled": True, "className": "traefik"},
}
# What only a release has: its labels, and which one it is.
OF_A_RELEASE = ("app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart")


def rendered(values: dict, name: str = "moongate") -> list[dict]:
    """The resources of a release."""
    files = helm_python.Chart.load(CHART).render(values, name=name, namespace="moongate")
    texts = [text for file, text in sorted(files.items()) if file.endswith(".yaml")]
    return [resource for text in texts for resource in yaml.safe_load_all(text) if resource]


def plain(value):
    """A resource without what only a release has."""
    if isinstance(value, dict):
        kept = {key: plain(one) for key, one in value.items() if key not in OF_A_RELEASE}
        return {key: one for key, one in kept.items() if key != "image"}
    return [plain(one) for one in value] if isinstance(value, list) else value


def by_name(resources: list[dict]) -> dict[str, dict]:
    """Resources by kind and name."""
    return {f"{one['kind']} {one['metadata']['name']}": plain(one) for one in resources}


def differences(mine, other, where: str) -> list[str]:
    """Where two resources differ."""
    if isinstance(mine, dict) and isinstance(other, dict):
        keys = sorted(mine.keys() | other.keys())
        return [line for key in keys for line in differences(mine.get(key), other.get(key), f"{where}.{key}")]
    return [] if mine == other else [f"{where}: {mine!r}, but the base has {other!r}"]


def as_the_base(report: Report) -> None:
    """By default a release called moongate is what `kubectl apply -k` makes of the base."""
    text = report.command("kustomize renders the base", "kubectl", "kustomize", str(KUBERNETES / "base"))
    base = by_name([one for one in yaml.safe_load_all(text) if one])
    chart = by_name(rendered({"config": CONFIG}))
    report.look(f"by default it makes the base's {len(base)} resources", differences(chart, base, "chart"))


def as_components(report: Report) -> None:
    """What can be switched on is what the components bring."""
    chart = by_name(rendered({"config": CONFIG, "serviceMonitor": {"enabled": True}, "ingress": {"enabled": True}}))
    wrong = []
    for file in ("monitoring/servicemonitor.yaml", "ingress/ingress.yaml"):
        own = yaml.safe_load((KUBERNETES / "components" / file).read_text())
        made = chart.get(f"{own['kind']} moongate", {})
        wrong += differences(made.get("spec"), plain(own["spec"]), own["kind"])
        wrong += differences(made["metadata"].get("annotations"), own["metadata"].get("annotations"), own["kind"])
    report.look("ServiceMonitor and Ingress are those of the components", wrong)


def lint(report: Report) -> None:
    """Helm's own linter finds nothing, with and without a configuration; and it does find what is wrong."""
    for version in VERSIONS:
        for values in ({"config": CONFIG}, EVERYTHING, {}):
            found = helm_python.lint(CHART, values=values, strict=True, kube_version=f"v{version}.0")
            serious = [f"{one['path']}: {one['error']}" for one in found["messages"] if one["severity"] > 1]
            report.look(f"helm lint --strict, Kubernetes {version}", found["errors"] + serious)
    missed = []
    for values in ({"imge": {}}, {"image": {"digest": "latest"}}, {"autoscaling": {"min": "two"}}):
        found = helm_python.lint(CHART, values=values)
        if not any(one["severity"] == 3 for one in found["messages"]):
            missed.append(f"taken: {values}")
    report.look("values that are wrong are refused", missed)


def names(report: Report) -> None:
    """Two releases in one namespace have nothing in common."""
    one, two = (by_name(rendered(EVERYTHING, name)) for name in ("moongate", "second"))
    shared = sorted(one.keys() & two.keys())
    selectors = [res["spec"]["selector"]["matchLabels"] for res in rendered(EVERYTHING, "second") if res["kind"] == "Deployment"]
    wrong = shared + [f"selects {one}" for one in selectors if one.get("app.kubernetes.io/instance") != "second"]
    report.look("a second release has names and selectors of its own", wrong)


def main() -> None:
    report = Report("chart")
    lint(report)
    as_the_base(report)
    as_components(report)
    names(report)
    with tempfile.TemporaryDirectory(dir=TOOLS) as folder:
        for title, values in (("chart", {"config": CONFIG}), ("chart with everything", EVERYTHING)):
            resources = rendered(values)
            file = Path(folder) / f"{re.sub(' ', '-', title)}.yaml"
            file.write_text(yaml.safe_dump_all(resources))
            validate(report, title, file, resources)
            # What is promised of a ServiceMonitor is so together with the component's rules.
            own = [one for one in resources if one["kind"] != "ServiceMonitor"]
            report.look(f"{title}: its parts fit each other", broken(own, False))
        configuration(report, "chart", rendered({"config": CONFIG}), Path(folder))
    report.end()


if __name__ == "__main__":
    main()
