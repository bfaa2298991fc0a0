"""Starts the Redis of the `dev` overlay as its manifest starts it, and looks whether it keeps what a ledger needs."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import yaml
from promises import only
from report import DEPLOY, Report

PASSWORD = "a-password-of-the-test"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Redis:
    """The container's own command, in a folder in place of its mounts, on a port of its own."""

    def __init__(self, container: dict, folder: Path):
        self.folder, self.port = folder, free_port()
        (folder / "password").write_text(PASSWORD)
        command = [self.here(word) for word in container["command"]]
        command[-1] = command[-1].replace("dir ", f"port {self.port}\nbind 127.0.0.1\ndir ", 1)
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)
        probe = container["readinessProbe"]["exec"]["command"]
        self.probe = [self.here(word).replace("redis-cli", f"redis-cli -p {self.port}") for word in probe]

    def here(self, word: str) -> str:
        return word.replace("/var/run/secrets/redis", str(self.folder)).replace("/data", str(self.folder))

    def is_ready(self) -> bool:
        """Whether the readiness probe succeeds, within ten seconds."""
        end = time.monotonic() + 10
        while subprocess.run(self.probe, capture_output=True).returncode:
            if time.monotonic() > end or self.process.poll() is not None:
                return False
            time.sleep(0.05)
        return True

    def ask(self, *words: str, password: str = PASSWORD) -> str:
        environment = os.environ | ({"REDISCLI_AUTH": password} if password else {})
        command = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment).stdout.strip()

    def stop(self) -> bool:
        """Stops it as the kubelet does, by a signal to the first process. Whether that was Redis itself."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=10)
        with socket.socket() as probe:
            is_gone = probe.connect_ex(("127.0.0.1", self.port)) != 0
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return code == 0 and is_gone


def main() -> None:
    report = Report("dev")
    text = report.command("kustomize renders it", "kubectl", "kustomize", str(DEPLOY / "kubernetes" / "overlays" / "dev"))
    resources = [one for one in yaml.safe_load_all(text) if one]
    container = only(resources, "StatefulSet", "redis")["spec"]["template"]["spec"]["containers"][0]
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        redis = Redis(container, Path(folder))
        try:
            wrong += [] if redis.is_ready() else ["it never becomes ready"]
            if "NOAUTH" not in redis.ask("ping", password=""):
                wrong.append("it answers without a password")
            for setting, expected in {"appendonly": "yes", "maxmemory-policy": "noeviction"}.items():
                said = redis.ask("config", "get", setting).split("\n")[-1]
                wrong += [] if said == expected else [f"{setting} is {said}"]
            if PASSWORD in Path(f"/proc/{redis.process.pid}/cmdline").read_text():
                wrong.append("its password is among its arguments")
            redis.ask("set", "spent", "11")
        finally:
            wrong += [] if redis.stop() else ["it does not stop in order when it is told to"]
        again = Redis(container, Path(folder))
        try:
            kept = again.is_ready() and again.ask("get", "spent")
            wrong += [] if kept == "11" else [f"after a restart it has {kept}"]
        finally:
            again.stop()
    report.look("its Redis wants a password, evicts nothing, and keeps what it was told over a restart", wrong)
    report.end()


if __name__ == "__main__":
    main()
