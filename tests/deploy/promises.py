"""What no schema knows of the manifests: that their parts fit one another and the gateway's configuration."""

import json
import os
import re

import yaml

SECRETS = "/var/run/secrets/moongate"
# Where the ledger's servers listen, by the key that names them. 16379, on which the nodes of a
# Cluster speak to each other, is none of the gateway's.
LEDGER = {"url": {6379}, "sentinel": {6379, 26379}, "cluster": {6379}}

# What an idle gateway of 1,000 teams and 30 models shows at most, as src/telemetry/metrics/tests.rs
# holds it.
SAMPLES = 60_000


def seconds(text: str) -> int:
    """A duration of the configuration, in seconds."""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0, "s": 1, "m": 60, "h": 3600}[unit]


def only(resources: list[dict], kind: str, name: str = "moongate") -> dict:
    """The one resource of this kind and name."""
    found = [one for one in resources if one["kind"] == kind and one["metadata"]["name"] == name]
    if len(found) != 1:
        raise KeyError(f"{len(found)} of {kind}/{name}")
    return found[0]


def some(resources: list[dict], kind: str) -> list[dict]:
    """All resources of this kind."""
    return [one for one in resources if one["kind"] == kind]


def configured(resources: list[dict]) -> dict:
    """The gateway's configuration."""
    return yaml.safe_load(only(resources, "ConfigMap")["data"]["moongate.yaml"])


class Problems(list):
    """What is wrong, in words."""

    def must(self, holds: bool, problem: str) -> None:
        if not holds:
            self.append(problem)


def pods(resources: list[dict]) -> list[str]:
    """The pod: how it stops, where it listens and is asked, what it mounts."""
    wrong = Problems()
    config = configured(resources)
    deployment = only(resources, "Deployment")["spec"]
    pod = deployment["template"]["spec"]
    container = pod["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}

    shutdown = config["shutdown"]
    pre_stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = pre_stop + seconds(shutdown["delay"]) + seconds(shutdown["grace"]) + 10
    grace = pod["terminationGracePeriodSeconds"]
    wrong.must(grace >= needed, f"the grace period is {grace} s, stopping takes up to {needed} s")
    wrong.must(seconds(shutdown["grace"]) > 300, "shutdown.grace is not longer than the longest call (300 s)")

    team, operator = f"[::]:{ports['team']}", f"[::]:{ports['operator']}"
    wrong.must(config["listen"]["address"] == team, "the port `team` is not where the gateway listens")
    wrong.must(config["admin"]["address"] == operator, "the port `operator` is not admin.address")
    probes = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for probe, path in probes.items():
        asked = container[probe]["httpGet"]
        right = asked["port"] == "operator" and asked["path"] == path
        wrong.must(right, f"{probe} does not ask {path} of the operator's listener")
    mounted = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    wrong.must(all("subPath" not in one for one in mounted.values()), "a subPath mount does not follow changes")
    config_file = container["args"][container["args"].index("--config") + 1]
    wrong.must(os.path.dirname(config_file) in mounted, f"{config_file} is on no mount")
    environment = container.get("env") or container.get("envFrom")
    wrong.must(not environment, "the environment is used: it does not follow changes")
    wrong.must("cpu" not in container["resources"]["limits"], "there is a CPU limit")
    scaled = some(resources, "HorizontalPodAutoscaler")
    wrong.must(("replicas" in deployment) != bool(scaled), "both set replicas, Deployment and autoscaler, or neither")

    sources = next(volume for volume in pod["volumes"] if volume["name"] == "secrets")["projected"]["sources"]
    files = {f"{SECRETS}/{item['path']}" for source in sources for item in source["secret"]["items"]}
    text = "\n".join(line.split("#")[0] for line in only(resources, "ConfigMap")["data"]["moongate.yaml"].splitlines())
    named = set(re.findall(rf"{SECRETS}/[\w.-]+", text))
    wrong.must(named == files, f"the configuration names {sorted(named)}, mounted are {sorted(files)}")
    wrong.must(not some(resources, "Secret"), "a Secret is among the manifests")

    labels = deployment["template"]["metadata"]["labels"]
    for kind in ("PodDisruptionBudget", "Deployment"):
        selector = only(resources, kind)["spec"]["selector"]["matchLabels"]
        wrong.must(selector.items() <= labels.items(), f"{kind} does not select the gateway's pods")
    selector = only(resources, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    wrong.must(selector.items() <= labels.items(), "the policy is not for the gateway's pods")
    return wrong


def reached(rules: list[dict], peer: str) -> set:
    """The ports on which rules let a peer in, or let the gateway out to it; a peer by what it is written as."""
    return {
        port["port"]
        for rule in rules
        for one in rule.get("to", rule.get("from", []))
        if peer in json.dumps(one)
        for port in rule["ports"]
    }


def network(resources: list[dict]) -> list[str]:
    """The policy lets through what the configuration needs, and nothing by default."""
    wrong = Problems()
    policy = only(resources, "NetworkPolicy")["spec"]
    wrong.must(set(policy["policyTypes"]) == {"Ingress", "Egress"}, "the policy does not deny both ways by default")
    for rule in policy["ingress"] + policy["egress"]:
        closed = bool(rule.get("from") or rule.get("to")) and bool(rule.get("ports"))
        wrong.must(closed, f"a rule is open: {rule}")
    out, into = policy["egress"], policy["ingress"]
    for resolver, port in {"kube-dns": 53, "169.254.20.10/32": 53, "openshift-dns": 5353}.items():
        wrong.must(port in reached(out, resolver), f"names cannot be asked of {resolver} on {port}")
    wrong.must(reached(into, "moongate-client") == {"team"}, "callers do not reach the team listener alone")
    for peer in ("moongate-operator", "monitoring"):
        wrong.must(reached(into, peer) == {"operator"}, f"{peer} does not reach the operator's listener alone")
    wrong.must(reached(out, "moongate-collector") == {4318}, "collectors of traces are not reached on 4318")
    wrong.must(443 in reached(out, "moongate-receiver"), "receivers of notices are not reached")

    store = configured(resources)["ledger"]["redis"]
    kind = next(key for key in LEDGER if store.get(key))
    open_to_redis = reached(out, "redis")
    wrong.must(open_to_redis == LEDGER[kind], f"ledger.redis.{kind} needs {LEDGER[kind]}, open are {open_to_redis}")
    urls = [store["url"]] if kind == "url" else store[kind]["urls"]
    named = {int(port) for url in urls for port in re.findall(r":(\d+)(?:/|$)", url)}
    wrong.must(named <= LEDGER[kind], f"the configuration names ports {named}, open are {LEDGER[kind]}")
    return wrong


def front(resources: list[dict]) -> list[str]:
    """The Service and what stands in front of it speak as the gateway listens: with TLS, or without."""
    wrong = Problems()
    service = only(resources, "Service")["spec"]["ports"]
    wrong.must([port["targetPort"] for port in service] == ["team"], "the Service offers more than the team listener")
    tls = bool(configured(resources)["listen"].get("tls"))
    port = service[0]
    expected = ("https", 443, "https") if tls else ("http", 80, "http")
    wrong.must((port["name"], port["port"], port["appProtocol"]) == expected, f"the Service is not {expected}")
    for route in some(resources, "HTTPRoute"):
        to = {backend["port"] for rule in route["spec"]["rules"] for backend in rule["backendRefs"]}
        wrong.must(to == {port["port"]}, f"the HTTPRoute leads to {to}, the Service has {port['port']}")
        policies = [one["spec"]["targetRefs"][0]["sectionName"] for one in some(resources, "BackendTLSPolicy")]
        wrong.must(policies == ([port["name"]] if tls else []), f"policies of TLS for the Service: {policies}")
    for ingress in some(resources, "Ingress"):
        paths = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
        to = {path["backend"]["service"]["port"]["name"] for path in paths}
        wrong.must(to == {port["name"]}, f"the Ingress leads to {to}, the Service has {port['name']}")
        notes = ingress["metadata"]["annotations"]
        told = notes.get("nginx.ingress.kubernetes.io/backend-protocol") == "HTTPS"
        wrong.must(told == tls and ("haproxy.org/server-ssl" in notes) == tls, "the Ingress is not told how to speak")
    for certificate in some(resources, "Certificate"):
        secret, namespace = certificate["spec"]["secretName"], certificate["metadata"].get("namespace", "moongate")
        mounted = json.dumps(only(resources, "Deployment"))
        wrong.must(f'"{secret}"' in mounted, "the certificate's secret is not mounted")
        name = f"moongate.{namespace}.svc"
        wrong.must(name in certificate["spec"]["dnsNames"], f"the certificate is not for {name}")
        checked = [one["spec"]["validation"]["hostname"] for one in some(resources, "BackendTLSPolicy")]
        wrong.must(all(one == name for one in checked), f"the Gateway expects {checked}, the certificate is for {name}")
    return wrong


def watched(resources: list[dict]) -> list[str]:
    """What Prometheus is to find has the label that it looks for, and each alert leads to the overlay's runbook."""
    wrong = Problems()
    found = [one for one in resources if one["apiVersion"].startswith("monitoring.coreos.com/")]
    releases = {one["metadata"]["labels"].get("release") for one in found}
    if not found:
        return wrong
    notes = [one["metadata"].get("annotations", {}) for one in some(resources, "Namespace")]
    release = notes[0]["moongate-prometheus-release"] if notes else "kube-prometheus-stack"
    wrong.must(releases == {release}, f"Prometheus looks for the release {release}, labelled are {releases}")
    for monitor in some(resources, "ServiceMonitor"):
        limit = monitor["spec"]["sampleLimit"]
        wrong.must(limit > SAMPLES, f"a scrape of {limit} samples is refused, a gateway may show {SAMPLES}")
    groups = only(resources, "PrometheusRule")["spec"]["groups"]
    urls = [rule["annotations"]["runbook_url"] for group in groups for rule in group["rules"] if "alert" in rule]
    wrong.must(bool(urls), "there is no alert")
    if notes:
        base = notes[0]["moongate-runbook"]
        wrong.extend(f"an alert leads to {url}" for url in urls if not url.startswith(f"{base}#"))
    return wrong


def behind_a_proxy(resources: list[dict]) -> list[str]:
    """Where an ingress or a gateway stands in front, callers are told apart only by what it says of them."""
    in_front = some(resources, "Ingress") + some(resources, "HTTPRoute")
    if in_front and not configured(resources)["listen"].get("trusted_proxies"):
        return ["listen.trusted_proxies is empty beside an ingress: all callers would have its address"]
    return []


def too_large(resources: list[dict]) -> list[str]:
    """What `kubectl apply` would refuse: it notes what it applied in an annotation, of 256 KiB at most."""
    noted = {f"{one['kind']}/{one['metadata']['name']}": len(json.dumps(one).encode()) for one in resources}
    return [f"{name} is too large to be applied: {size} bytes" for name, size in noted.items() if size > 240 * 1024]


def broken(resources: list[dict], is_overlay: bool) -> list[str]:
    """Everything that is wrong with one rendering."""
    looks = [pods, network, front, watched, too_large] + ([behind_a_proxy] if is_overlay else [])
    wrong = []
    for look in looks:
        try:
            wrong += look(resources)
        except (KeyError, StopIteration, ValueError, AttributeError) as error:
            wrong.append(f"{look.__name__}: something that is looked at is not there: {error!r}")
    return wrong
