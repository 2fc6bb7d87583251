"""
`make up SIM=1`: simulated CAs beside the stack, with an issuer and a certificate each.
"""
import json
import shutil
import subprocess

from fleet import ROOT, clean_env
from local_running import is_done, is_up, new_running  # noqa: F401

LIMIT_S = 300
NOT_SANITIZED = "the scripts of make up: what the programs do that they start, every other file tests"


def test_simulated_cas_are_there_to_be_tried(new_running):  # noqa: F811
    running = new_running()
    shutil.copytree(ROOT / "tests" / "support", running.dir / "tests" / "support", ignore=shutil.ignore_patterns("__pycache__"))

    def certctl(*words):
        return subprocess.run([running.dir / "certctl", *words], text=True, capture_output=True, check=False, timeout=150, env=clean_env())
    code, output = running.run("up", SIM="2")
    assert code == 1 and "SIM is '2'" in output and "SIM=1 starts" in output, output
    output = is_up(running, running.run("up", SIM="1"))
    assert "simulated CAs from port" in output and "certs renew sim-digicert --wait" in output
    issuers = json.loads((running.base / "sim" / "issuers.json").read_text())["issuers"]
    listed = certctl("issuers", "list").stdout
    assert len(issuers) > 5 and all(issuer["id"] in listed for issuer in issuers)
    # One that is placed and polled, as an operator would try it.
    done = certctl("certs", "renew", "sim-digicert", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    # They are remembered, with their ports.
    def settings():
        return json.loads((running.base / "sim" / "issuers.json").read_text())["settings"]
    before = settings()
    output = is_up(running, running.run("up"))
    assert "simulated CAs from port" in output and settings() == before
    assert "simulators" in running.run("status")[1]
    output = is_up(running, running.run("up", SIM="0"))
    assert "ended; their issuers stay" in output and "simulators" not in running.run("status")[1]
    is_done(running.run("clean"))
