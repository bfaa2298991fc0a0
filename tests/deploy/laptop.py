"""Checks deploy/compose.yaml without a daemon: Compose itself reads it, what it mounts is there and fits together."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import compose
import yaml
from report import DEPLOY, Report

# Compose itself, which the package brings. Its own entry point forgets how the program ended.
COMPOSE = str(Path(compose.__file__).with_name("docker-compose"))
FILE = DEPLOY / "compose.yaml"
BOARDS = ["gateway", "team", "money"]
# What a user makes before the start, as the page says.
MADE = {"ops-token.sha256": "0a" * 32}


def read(report: Report) -> dict:
    """The services as Compose understands them."""
    command = [COMPOSE, "--file", str(FILE), "config", "--format", "json"]
    return json.loads(report.command("Compose reads it", *command) or "{}")


def mounts(service: dict) -> dict[str, Path]:
    """Files and folders of this machine in a service, by where they are in it."""
    return {one["target"]: Path(one["source"]) for one in service.get("volumes", []) if one["type"] == "bind"}


def shape(services: dict, secrets: dict) -> list[str]:
    """Images by digest, ports on this machine alone, and every file there."""
    wrong = []
    for name, service in services.items():
        is_ours = service["image"].startswith("moongate:")
        if not is_ours and not re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", service["image"]):
            wrong.append(f"{name}: {service['image']} has no digest")
        for port in service.get("ports", []):
            if port.get("host_ip") != "127.0.0.1":
                wrong.append(f"{name}: port {port['target']} is offered to the network")
        wrong += [f"{name}: there is no {source}" for source in mounts(service).values() if not source.exists()]
    wrong += [f"the user is not told to make {secret}" for secret in secrets if secret not in MADE]
    built = services["gateway"]["build"]
    recipe = Path(built["context"]) / built["dockerfile"]
    wrong += [] if recipe == DEPLOY / "Dockerfile" else [f"{recipe} is not the image's recipe"]
    redis = services["redis"]
    dev = (DEPLOY / "kubernetes" / "overlays" / "dev" / "redis.yaml").read_text()
    wrong += [] if f"image: {redis['image']}\n" in dev else ["its Redis is not that of the overlay `dev`"]
    said = " ".join(redis["command"])
    wrong += [f"its Redis is not told {word}" for word in ("--appendonly yes", "--maxmemory-policy noeviction") if word not in said]
    return wrong


def addresses(services: dict) -> list[str]:
    """Who asks whom, and whether somebody listens there."""
    wrong = []
    gateway = yaml.safe_load(mounts(services["gateway"])["/etc/moongate/moongate.yaml"].read_text())
    published = {port["target"] for port in services["gateway"]["ports"]}
    for listener in ("listen", "admin"):
        host, _, port = gateway[listener]["address"].rpartition(":")
        if host != "[::]" or int(port) not in published:
            wrong.append(f"{listener}.address is not reached from outside its container")
    simulator = services["simulator"]
    if simulator["network_mode"] != "service:gateway" or not gateway["upstream"]["base_url"].startswith("http://127.0.0.1:9400/"):
        wrong.append("the gateway does not reach the simulator")
    media = dict(zip(simulator["command"], simulator["command"][1:], strict=False))
    port = media["--media-address"].rpartition(":")[2]
    if int(port) not in published or media["--media-url"] != f"http://127.0.0.1:{port}":
        wrong.append("pictures are not where their addresses say")
    if gateway["ledger"]["redis"]["url"] != "redis://redis:6379":
        wrong.append("the ledger is not the service `redis`")
    jobs = yaml.safe_load(mounts(services["prometheus"])["/etc/prometheus/prometheus.yaml"].read_text())["scrape_configs"]
    target = f"gateway:{gateway['admin']['address'].rpartition(':')[2]}"
    if [(job["job_name"], job["static_configs"]) for job in jobs] != [("moongate", [{"targets": [target]}])]:
        wrong.append(f"Prometheus does not scrape {target} as the job that rules and boards look for")
    return wrong


def grafana(services: dict) -> list[str]:
    """What Grafana is provisioned with: one source of numbers, and the boards where it looks for them."""
    wrong = []
    files = mounts(services["grafana"])
    provisioning = files["/etc/grafana/provisioning"]
    source, provider = (
        yaml.safe_load((provisioning / name).read_text())
        for name in ("datasources/prometheus.yaml", "dashboards/moongate.yaml")
    )
    wrong += [f"{one} is not version 1" for one in (source, provider) if one["apiVersion"] != 1]
    (prometheus,) = source["datasources"]
    if (prometheus["type"], prometheus["url"], prometheus["isDefault"]) != ("prometheus", "http://prometheus:9090", True):
        wrong.append("its source of numbers is not the service `prometheus`")
    scraped = yaml.safe_load(mounts(services["prometheus"])["/etc/prometheus/prometheus.yaml"].read_text())
    if prometheus["jsonData"]["timeInterval"] != scraped["global"]["scrape_interval"]:
        wrong.append("it takes another interval of scrapes than Prometheus has")
    (folder,) = (one["options"]["path"] for one in provider["providers"] if one["type"] == "file")
    for board in BOARDS:
        if files.get(f"{folder}/moongate-{board}.json") != DEPLOY / "grafana" / f"moongate-{board}.json":
            wrong.append(f"the board {board} is not in {folder}")
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    wrong += [] if home in files else [f"the first board, {home}, is not there"]
    return wrong


def page() -> list[str]:
    """The page tells to make every file that is not in the repository."""
    text = (DEPLOY / "README.md").read_text()
    wrong = [f"the page does not say how to make {name}" for name in MADE if f"> {name}" not in text]
    return wrong + ([] if "docker compose" in text else ["the page does not say how to start it"])


def main() -> None:
    report = Report("laptop")
    read_in = read(report)
    services = read_in.get("services", {})
    report.look("images by digest, ports on this machine alone, every file there", shape(services, read_in["secrets"]))
    report.look("each service is where the others look for it", addresses(services))
    report.look("Grafana's provisioning: source of numbers and boards", grafana(services))
    report.look("its files are made as the page says", page())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for target, source in mounts(services["prometheus"]).items():
            shutil.copy(source, folder / Path(target).name)
        report.command("promtool check config", "promtool", "check", "config", "prometheus.yaml", cwd=folder)
        program = os.environ.get("MOONGATE")
        if program:
            text = mounts(services["gateway"])["/etc/moongate/moongate.yaml"].read_text()
            for secret, value in MADE.items():
                (folder / secret).write_text(value)
            (folder / "moongate.yaml").write_text(text.replace("/run/secrets/", ""))
            environment = os.environ | services["gateway"]["environment"]
            done = subprocess.run(
                [str(Path(program).resolve()), "check", "--config", str(folder / "moongate.yaml")],
                capture_output=True, text=True, env=environment,
            )
            report.look("moongate accepts its configuration", done.stderr.splitlines() if done.returncode else [])
    report.end()


if __name__ == "__main__":
    main()
