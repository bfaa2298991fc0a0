"""A whole installation as processes: Redis, a simulated Firemoon, two gateways, a Prometheus that
scrapes them, an Alertmanager and who it tells; and traffic of everything that a board shows."""

import hashlib
import http.client
import http.server
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml
from report import DEPLOY

SHARED_KEY = "fm_live_boards_2d5b07c1"
OPERATOR = "an-operator-of-this-test"
GATEWAYS = ("a", "b")
# An Ed25519 key from RFC 8037: its issuer is there to be read, nobody has tokens of it.
JWKS = {
    "keys": [
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
        | {"alg": "EdDSA", "use": "sig", "kid": "one"}
    ]
}
# What is started ends with this process, however that ends: also when it is killed.
TIED = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
WIDE = 100_000_000
LIMITS = {
    "requests_per_second": {"limit": 1, "shadow": True},
    "requests_per_minute": WIDE // 1000,
    "requests_per_month": WIDE,
    "concurrent": 100,
    "credits_per_day": {"limit": 2000, "soft": 0.0001},
    "credits_per_month": 20_000,
    "credits_total": 50_000,
}
PRICES = {
    "flux/dev": {"per_image": 0.025},
    "flux/schnell": {"per_image": 0.003},
    "kling/kling-2-1-master": {"per_second": 0.28},
}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def until(what: str, holds: Callable[[], object], seconds: float = 60) -> object:
    """Waits for a condition; gives what it gave. `TimeoutError` when it never holds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = holds()
        except OSError:
            found = None
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {seconds} s: {what}")
        time.sleep(0.1)


def get(url: str) -> bytes:
    """The body of an answer that must be good."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


class Receiver:
    """Takes whatever is posted to it, and remembers it by path."""

    def __init__(self):
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            """Answers everything with 200."""

            def do_POST(self):
                """Remembers one notice; of traces it is enough that they are taken."""
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path != "/v1/traces":
                    received.append((self.path, json.loads(body)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class World:
    """Everything that runs; it ends with the `with`."""

    def __init__(self, program: Path, folder: Path):
        self.program, self.folder = program, folder
        self.processes: dict[str, subprocess.Popen] = {}
        self.receiver = Receiver()
        names = ["redis", "upstream", "media", "prometheus", "alertmanager", "cluster"]
        names += [f"{of} {one}" for one in GATEWAYS for of in ("team", "operator")]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.busy = threading.Event()
        self.callers: list[threading.Thread] = []

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *_) -> None:
        try:
            self.rest()
        finally:
            for process in self.processes.values():
                process.kill()
                process.wait()
            self.receiver.server.shutdown()

    def at(self, name: str) -> str:
        """Host and port of one of the processes."""
        return f"127.0.0.1:{self.ports[name]}"

    def start(self, name: str, *command: str) -> None:
        """Starts a process; what it says goes to a file."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen([*TIED, *command], stdout=log, stderr=log)

    def write(self, name: str, text: str) -> Path:
        """Writes a file of the installation."""
        (self.folder / name).write_text(text)
        return self.folder / name

    def begin(self) -> None:
        """Starts the store, the upstream and the gateways, and makes the teams' keys."""
        port = str(self.ports["redis"])
        quiet = ["--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        self.start("redis", "redis-server", "--port", port, "--bind", "127.0.0.1", *quiet)
        until("Redis", lambda: socket.create_connection(("127.0.0.1", int(port))))
        simulate = ["--address", self.at("upstream"), "--media-address", self.at("media")]
        simulate += ["--key", f"shared={SHARED_KEY}", "--balance", "1000000", "--latency", "20ms"]
        for window in ("minute", "day", "month"):
            simulate += [f"--requests-per-{window}", "1000000"]
        self.start("firemoon", str(self.program), "simulate", *simulate)
        until("the upstream", lambda: get(f"http://{self.at('upstream')}/_simulator/books?calls=0"))
        faults = [{"prompt_contains": "failing", "fault": "generation_failed"}]
        body = json.dumps(faults).encode()
        url = f"http://{self.at('upstream')}/_simulator/faults"
        urllib.request.urlopen(urllib.request.Request(url, data=body, method="PUT"), timeout=30)
        self.write("shared-key", f"{SHARED_KEY}\n")
        self.write("jwks.json", json.dumps(JWKS))
        self.write("ops-token", OPERATOR)
        for one in GATEWAYS:
            self.serve(one)
        # One gateway has them; the other reads them before it calls itself ready again.
        self.keys = {team: self.make_key(team) for team in ("design", "growth")}
        self.keys["capped"] = self.make_key("design", "--limit", "requests_per_day=1")

    def serve(self, one: str) -> None:
        """Starts a gateway at its own ports and waits until it is ready."""
        file = self.write(f"moongate-{one}.yaml", json.dumps(self.configuration(one)))
        self.start(f"gateway {one}", str(self.program), "serve", "--config", str(file))
        url = f"http://{self.at(f'operator {one}')}/readyz"
        until(f"gateway {one} is ready", lambda: get(url))

    def configuration(self, one: str) -> dict:
        """What a gateway is told."""
        token = {"name": "ops", "sha256": {"file": "ops-token.sha256"}}
        self.write("ops-token.sha256", hashlib.sha256(OPERATOR.encode()).hexdigest())
        issuer = {"issuer": "https://sso.example.com", "audiences": ["moongate"]}
        issuer |= {"algorithms": ["EdDSA"], "jwks": {"file": "jwks.json"}, "team_claim": "/team"}
        key = {"name": "primary", "secret": {"file": "shared-key"}}
        return {
            "listen": {"address": self.at(f"team {one}"), "workers": 2},
            "admin": {"address": self.at(f"operator {one}"), "tokens": [token]},
            "upstream": {
                "base_url": f"http://{self.at('upstream')}/api",
                "keys": [key],
                "limits": {"requests_per_minute": 900_000, "requests_per_month": 1_000_000},
                "reconcile": {"every": "1s", "drift_max": 1},
            },
            "ledger": {
                "redis": {"url": f"redis://{self.at('redis')}", "deadline": "20s"},
                "reservation_ttl": "3s",
            },
            "identity": {"issuers": [issuer | {"teams": {"design": "design"}}]},
            "teams": {
                "design": {"models": ["*"], "limits": LIMITS},
                # Used up by its first four pictures.
                "growth": {"models": ["flux/*"], "limits": {"credits_per_month": "0.1"}},
            },
            "pricing": {"models": PRICES},
            "webhook": {"url": f"{self.receiver.url}/soft"},
            "account": {"requests_per_minute": 1_000_000},
            "shutdown": {"delay": "0s"},
            "telemetry": {"logs": "json", "otlp": {"endpoint": self.receiver.url}},
        }

    def moongate(self, *arguments: str) -> dict:
        """What a command of the gateway's own prints, as JSON."""
        admin = ["--admin", f"http://{self.at('operator a')}"]
        admin += ["--token-file", str(self.folder / "ops-token"), "--json"]
        command = [str(self.program), *arguments, *admin]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)

    def make_key(self, team: str, *limits: str) -> str:
        """A gateway key of a team, perhaps with limits of its own."""
        named = ["keys", "create", "--team", team, "--name", "boards"]
        return self.moongate(*named, *limits)["secret"]

    def watch(self, *, patient: bool = False) -> None:
        """Starts Prometheus and Alertmanager as the examples configure them, only faster. Alerts
        wait for what they wait for when it is `patient`, else for a second."""
        manager = (DEPLOY / "prometheus" / "alertmanager.yaml").read_text()
        manager = manager.replace("https://hooks.example.com", self.receiver.url)
        manager = manager.replace("group_wait: 30s", "group_wait: 1s")
        file = self.write("alertmanager.yaml", manager)
        named = shutil.which("alertmanager") or "prometheus-alertmanager"
        self.start(
            "alertmanager",
            named,
            f"--config.file={file}",
            f"--storage.path={self.folder / 'alertmanager'}",
            f"--web.listen-address={self.at('alertmanager')}",
            "--cluster.listen-address=",
        )
        rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            if "for" in rule and not patient:
                rule["for"] = "1s"
        scrape = Path(__file__).with_name("scrape.yaml").read_text()
        targets = ", ".join(f'"{self.at(f"operator {one}")}"' for one in GATEWAYS)
        scrape = scrape.replace('"TARGET"', targets).replace('"MANAGER"', self.at("alertmanager"))
        scrape = scrape.replace("RULES", str(self.write("rules.yaml", yaml.safe_dump(rules))))
        file = self.write("prometheus.yaml", scrape)
        self.start(
            "prometheus",
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={self.folder / 'prometheus'}",
            f"--web.listen-address={self.at('prometheus')}",
        )
        until("Prometheus", lambda: get(f"http://{self.at('prometheus')}/-/ready"))

    def kill(self, one: str) -> None:
        """Ends a gateway at once: what it counted after its last scrape is seen by nobody."""
        self.processes[f"gateway {one}"].send_signal(signal.SIGKILL)
        self.processes[f"gateway {one}"].wait()

    def calls(self) -> Iterable[tuple[str, str, str | None, object]]:
        """What is called again and again: method, path, credential and body."""
        design, growth = self.keys["design"], self.keys["growth"]
        post, flux = "POST", "/api/v1/flux/dev"
        picture = {"prompt": "a lighthouse"}
        video = {"prompt": "a lighthouse", "duration": "5"}
        yield post, flux, design, picture
        yield post, "/api/v1/flux/schnell", design, picture
        yield post, "/api/v1/kling/kling-2-1-master", design, video
        yield post, "/api/v1/flux/schnell", design, {"prompt": "a failing lighthouse"}
        yield post, flux, growth, picture
        yield post, flux, self.keys["capped"], picture
        yield post, flux, None, picture
        yield post, flux, "mgk_wrong", picture
        yield post, flux, "a.wrong.token", picture
        yield post, flux, design, []
        yield post, "/api/v1/unknown/model", design, picture
        yield "GET", "/gateway/v1/me", design, None
        yield "GET", "/api/models", None, None
        yield "GET", "/nowhere", None, None

    def call(self, one: str, method: str, path: str, credential: str | None, body) -> None:
        """One call, whatever becomes of it."""
        headers = {"content-type": "application/json"}
        if credential:
            headers["authorization"] = f"Bearer {credential}"
        if method == "POST" and isinstance(body, dict) and "schnell" in path:
            headers["idempotency-key"] = str(time.monotonic_ns() // 300_000_000)
        connection = http.client.HTTPConnection(self.at(f"team {one}"), timeout=30)
        try:
            content = json.dumps(body) if body is not None else None
            connection.request(method, path, content, headers)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def work(self) -> None:
        """Begins to call, from a few callers at once."""

        def caller(gateways: Iterable[str]) -> None:
            for one in gateways:
                for call in self.calls():
                    if not self.busy.is_set():
                        return
                    self.call(one, *call)
                    time.sleep(0.02)

        self.busy.set()
        for at in range(4):
            order = itertools.cycle(GATEWAYS if at % 2 else GATEWAYS[::-1])
            self.callers.append(threading.Thread(target=caller, args=(order,), daemon=True))
            self.callers[-1].start()

    def rest(self) -> None:
        """Ends the traffic and waits for the calls that are under way."""
        self.busy.clear()
        for thread in self.callers:
            thread.join()
        self.callers.clear()

    def said(self) -> str:
        """The ends of what the processes said, for whoever looks for the cause of a failure."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{log.stem}: {log.read_text(errors='replace')[-600:]}" for log in logs)


def program() -> Path | None:
    """The gateway to run, or none."""
    named = os.environ.get("MOONGATE")
    return Path(named).resolve() if named else None
