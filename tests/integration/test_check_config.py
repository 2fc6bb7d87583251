"""--check-config of scheduler and worker fails where a start would fail, and leaves nothing behind."""
import subprocess

import pytest

from tests.support.fleet import BUILD, CA_KEY, clean_env

URL = "postgresql://nobody@127.0.0.1:1/none"


def check(program, env):
    return subprocess.run([BUILD / program / f"certctl-{program}", "--check-config"], env=clean_env() | env, text=True,
                          capture_output=True, timeout=30, cwd="/", check=False)


@pytest.fixture
def good(tmp_path):
    return {
        "scheduler": {"CERTCTL_DATABASE_URL": URL, "CERTCTL_BUS_LISTEN_URL": f"ipc://{tmp_path}/bus"},
        "worker": {"CERTCTL_DATABASE_URL": URL, "CERTCTL_BUS_URLS": f"ipc://{tmp_path}/bus", "CERTCTL_CA_ENCRYPTION_KEY": CA_KEY,
                   "CERTCTL_ISSUANCE_JOURNAL_DIR": str(tmp_path)}}


@pytest.mark.parametrize("program", ["scheduler", "worker"])
def test_a_good_one_leaves_nothing(good, program, tmp_path):
    done = check(program, good[program])
    assert done.returncode == 0 and "the configuration is good" in done.stdout, done
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("program, name, value, word", [
    ("scheduler", "CERTCTL_BUS_LISTEN_URL", "nonsense", "nonsense"),
    ("scheduler", "CERTCTL_BUS_LISTEN_URL", "ipc:///nowhere/at/all/bus", "/nowhere/at/all"),
    ("scheduler", "CERTCTL_BUS_LISTEN_URL", "tcp://192.0.2.1:7400", "192.0.2.1"),
    ("scheduler", "CERTCTL_BUS_LISTEN_URL", "tls+tcp://127.0.0.1:7400", "CERTCTL_BUS_"),
    ("worker", "CERTCTL_BUS_URLS", "nonsense", "nonsense"),
    ("worker", "CERTCTL_BUS_URLS", "tcp://192.0.2.1:7400", "192.0.2.1"),
    ("worker", "CERTCTL_BUS_URLS", "tls+tcp://sched:7400", "CERTCTL_BUS_"),
    ("worker", "CERTCTL_CA_ENCRYPTION_KEY", "x" * 40, "openssl rand"),
    ("worker", "CERTCTL_ISSUANCE_JOURNAL_DIR", "/nowhere/at/all", "/nowhere/at/all"),
])
def test_what_a_start_would_refuse(good, program, name, value, word):
    done = check(program, good[program] | {name: value})
    assert done.returncode != 0 and word in done.stderr, done
    assert "the configuration is good" not in done.stdout
