"""Renders base, overlay and every component with kustomize, validates what comes out, and checks our own promises in it."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import yaml
from report import DEPLOY, TOOLS, Report

KUBERNETES = DEPLOY / "kubernetes"
SECRETS = "/var/run/secrets/moongate"
# Kinds that only custom_resources.mjs knows.
CUSTOM = ("monitoring.coreos.com/", "gateway.networking.k8s.io/", "external-secrets.io/")


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
    report.command(f"{name}: {len(own)} resources are valid", "kubernetes-validate", "--strict", "--quiet", str(plain))
    if len(own) < len(resources):
        what = f"{name}: {len(resources) - len(own)} custom resources are valid"
        report.command(what, "node", str(TOOLS / "node" / "custom_resources.mjs"), str(rendered))


def with_component(component: Path, into: Path) -> Path:
    """A kustomization of the base and one component; paths in it must be relative."""
    folder = into / component.name
    folder.mkdir()
    relative = {
        "resources": [os.path.relpath(KUBERNETES / "base", folder.resolve())],
        "components": [os.path.relpath(component, folder.resolve())],
    }
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(head | relative))
    return folder


def seconds(text: str) -> int:
    """A duration of the configuration, in seconds."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0, "s": 1, "m": 60, "h": 3600}[unit]


def only(resources: list[dict], kind: str, name: str = "moongate") -> dict:
    """The one resource of this kind and name."""
    found = [one for one in resources if one["kind"] == kind and one["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {kind}/{name}"
    return found[0]


def promises(resources: list[dict]) -> list[str]:
    """What a schema cannot know: that the parts fit one another and the gateway's configuration."""
    wrong: list[str] = []

    def must(holds: bool, problem: str) -> None:
        if not holds:
            wrong.append(problem)

    config = yaml.safe_load(only(resources, "ConfigMap")["data"]["moongate.yaml"])
    pod = only(resources, "Deployment")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}

    shutdown = config["shutdown"]
    pre_stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = pre_stop + seconds(shutdown["delay"]) + seconds(shutdown["grace"]) + 10
    grace = pod["terminationGracePeriodSeconds"]
    must(grace >= needed, f"the grace period is {grace} s, stopping takes up to {needed} s")
    must(seconds(shutdown["grace"]) > 300, "shutdown.grace is not longer than the longest call (300 s)")

    must(config["listen"]["address"] == f"[::]:{ports['team']}", "the port `team` is not where the gateway listens")
    must(config["admin"]["address"] == f"[::]:{ports['operator']}", "the port `operator` is not admin.address")
    probes = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for probe, path in probes.items():
        asked = container[probe]["httpGet"]
        must(asked["port"] == "operator" and asked["path"] == path, f"{probe} does not ask {path} of the operator's listener")
    mounted = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    must(all("subPath" not in mount for mount in mounted.values()), "a subPath mount does not follow changes")
    config_file = container["args"][container["args"].index("--config") + 1]
    must(os.path.dirname(config_file) in mounted, f"{config_file} is on no mount")
    must(not container.get("env") and not container.get("envFrom"), "the environment is used: it does not follow changes")
    must("cpu" not in container["resources"]["limits"], "there is a CPU limit")

    sources = next(volume for volume in pod["volumes"] if volume["name"] == "secrets")["projected"]["sources"]
    files = {f"{SECRETS}/{item['path']}" for source in sources for item in source["secret"]["items"]}
    named = set(re.findall(rf"{SECRETS}/[\w.-]+", only(resources, "ConfigMap")["data"]["moongate.yaml"]))
    must(named == files, f"the configuration names {sorted(named)}, mounted are {sorted(files)}")
    must(not [one for one in resources if one["kind"] == "Secret"], "a Secret is among the manifests")

    team = only(resources, "Service")["spec"]["ports"]
    must([port["targetPort"] for port in team] == ["team"], "the teams' Service offers more than the team listener")
    policy = only(resources, "NetworkPolicy")["spec"]
    must(set(policy["policyTypes"]) == {"Ingress", "Egress"}, "the network policy does not deny both ways by default")
    for rule in policy["ingress"] + policy["egress"]:
        must(bool(rule.get("from") or rule.get("to")) and bool(rule.get("ports")), f"a rule is open: {rule}")
    labels = only(resources, "Deployment")["spec"]["template"]["metadata"]["labels"]
    for kind in ("PodDisruptionBudget", "Deployment"):
        selector = only(resources, kind)["spec"]["selector"]["matchLabels"]
        must(selector.items() <= labels.items(), f"{kind} does not select the gateway's pods")
    must(policy["podSelector"]["matchLabels"].items() <= labels.items(), "the policy is not for the gateway's pods")
    must("replicas" not in only(resources, "Deployment")["spec"], "the Deployment and the autoscaler both set replicas")
    return wrong


def behind_a_proxy(resources: list[dict]) -> list[str]:
    """Where an ingress or a gateway stands in front, callers are told apart only by what it says of them."""
    kinds = {resource["kind"] for resource in resources}
    config = yaml.safe_load(only(resources, "ConfigMap")["data"]["moongate.yaml"])
    if kinds & {"Ingress", "HTTPRoute"} and not config["listen"].get("trusted_proxies"):
        return ["listen.trusted_proxies is empty beside an ingress: all callers would have its address"]
    return []


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


def main() -> None:
    report = Report("manifests")
    with tempfile.TemporaryDirectory(dir=TOOLS) as name:
        work = Path(name)
        folders = {"base": KUBERNETES / "base"}
        folders |= {f"overlay {one.name}": one for one in sorted((KUBERNETES / "overlays").iterdir())}
        for component in sorted((KUBERNETES / "components").iterdir()):
            folders[f"component {component.name}"] = with_component(component, work)
        for at, (title, folder) in enumerate(folders.items()):
            rendered = work / f"{at}.yaml"
            resources = render(report, title, folder, rendered)
            if not resources:
                continue
            validate(report, title, rendered, resources)
            try:
                wrong = promises(resources) + (behind_a_proxy(resources) if title.startswith("overlay") else [])
            except (KeyError, StopIteration, ValueError) as error:
                wrong = [f"something the promises look at is not there: {error!r}"]
            report.look(f"{title}: its parts fit each other", wrong)
            if title == "base" or title.startswith("overlay"):
                configuration(report, title.replace(" ", "-"), resources, work)
            if title.startswith("overlay"):
                config = str(Path(__file__).with_name("checkov.yaml"))
                what = f"{title}: checkov"
                report.command(what, "checkov", "--file", str(rendered), "--framework", "kubernetes", "--config-file", config)
    report.end()


if __name__ == "__main__":
    main()
