"""Starts a simulated Firemoon and a gateway before it, and lets schemathesis call the gateway as its description says."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

MOONGATE = os.path.abspath(os.environ.get("MOONGATE", "target/debug/moongate"))
SHARED_KEY = "fm_shared_key_of_the_description_s_test"
# Every run makes the same calls: what fails here fails everywhere.
SEED = "20261122"
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
]


@contextlib.contextmanager
def running(arguments, said_first, **how):
    """A process, once it has said the line that begins so; what stands behind that."""
    process = subprocess.Popen([MOONGATE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **how)
    try:
        for line in process.stdout:
            if said_first in line:
                yield line.split(said_first, 1)[1].strip()
                return
        raise SystemExit(f"moongate {arguments[0]} ended with {process.wait()}")
    finally:
        process.kill()
        process.wait()


def configuration(upstream, key):
    return {
        "listen": {"address": "127.0.0.1:0", "workers": 1},
        "admin": {"address": "127.0.0.1:0"},
        "upstream": {"base_url": upstream, "keys": [{"name": "shared", "secret": {"env": "SHARED_KEY"}}]},
        "ledger": {"embedded": {"path": "ledger.db"}},
        # More bad credentials come from here than from any honest address: each must be answered as
        # what it is.
        "identity": {"keys": [key], "throttle": {"failures": 1000000}},
        "teams": {"design": {"models": ["*"], "limits": {"requests_per_minute": 1000000, "credits_per_month": 100000}}},
        "pricing": {"models": {"nano-banana": {"per_image": "0.039"}}, "unknown_model_credits": "0.01"},
        "account": {"requests_per_minute": 1000000},
        "telemetry": {"logs": "json", "access_log": False},
    }


def conform(schemathesis, folder):
    made = json.loads(subprocess.check_output([MOONGATE, "keys", "generate", "--team", "design", "--name", "test", "--json"]))
    simulate = ["simulate", "--address", "127.0.0.1:0", "--media-address", "127.0.0.1:0", "--key", f"shared={SHARED_KEY}"]
    simulate += ["--balance", "1000000", "--latency", "0ms"]
    simulate += [word for span in ("minute", "day", "month") for word in (f"--requests-per-{span}", "0")]
    with running(simulate, "Firemoon simulator: ") as upstream:
        file = pathlib.Path(folder, "moongate.yaml")
        file.write_text(json.dumps(configuration(upstream, made["entry"])))
        environment = dict(os.environ, SHARED_KEY=SHARED_KEY)
        with running(["serve", "--config", file], '"msg":"listening"', env=environment) as rest:
            address = json.loads("{" + rest.split(",", 1)[1])["team"]
            return subprocess.call(
                [
                    schemathesis,
                    "run",
                    f"http://{address}/gateway/openapi.json",
                    "--header",
                    f"Authorization:Bearer {made['key']}",
                    "--checks",
                    ",".join(CHECKS),
                    "--phases",
                    "examples,coverage,fuzzing",
                    "--max-examples",
                    "40",
                    "--seed",
                    SEED,
                    "--generation-database",
                    "none",
                    "--warnings",
                    "off",
                    "--no-color",
                ],
                # It keeps things beside where it runs.
                cwd=folder,
            )


with tempfile.TemporaryDirectory() as folder:
    sys.exit(conform(os.path.abspath(sys.argv[1]), folder))
