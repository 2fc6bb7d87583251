"""
Fixtures of the integration tests.

stack is a control plane of its own for each test file: a private PostgreSQL,
migrated, and an apiserver; the rest is started as the file needs it
(start_scheduler, start_worker, start_agent, start_nginx of the fleet).  The
build under test is named by BUILD_DIR.
"""
import itertools
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from fleet import BOOTSTRAP, BUILD, Fleet  # noqa: E402

LOG_LINES = 15
# What no log may hold, wherever it happened.
ALARMS = ("Sanitizer", "runtime error:", "Assertion", "free():", "malloc():", "corrupted ")
# Of these every expected refusal logs lines.
QUIET = {"initdb", "migrate", "postgres"}


def pytest_sessionstart(session):
    if not (BUILD / "apiserver" / "certctl-apiserver").exists():
        pytest.exit(f"no certctl-apiserver below {BUILD}: build first, or set BUILD_DIR", 2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the end of every process's log."""
    report = (yield).get_result()
    stack = item.funcargs.get("stack") if hasattr(item, "funcargs") else None
    if report.failed and stack is not None:
        for path in sorted(p for p in (stack.dir / "log").glob("*.log") if p.stem not in QUIET):
            lines = path.read_text(errors="replace").splitlines()[-LOG_LINES:]
            if lines:
                report.sections.append((path.name, "\n".join(lines)))


def stop_and_look(fleet):
    """Stops the daemons; what a sanitizer or an assertion wrote."""
    found = []
    for name, process in fleet.processes.items():
        if name == "postgres":
            continue
        process.stop()
        found += [f"{name}: {line}" for line in process.log().splitlines() if any(word in line for word in ALARMS)]
    return found


@pytest.fixture(scope="module")
def stack(request):
    fleet = Fleet(request.module.__name__.removeprefix("test_"))
    try:
        fleet.start_postgres()
        fleet.start_apiserver()
        yield fleet
        found = stop_and_look(fleet)
        assert not found, "\n".join(found)
    finally:
        fleet.close()


@pytest.fixture(scope="module")
def api(stack):
    """.get(path), .post(path, body), .call(method, path, body): (status, reply)."""
    return stack.api


@pytest.fixture(scope="session")
def unique():
    """Names that no other test of the session uses."""
    numbers = itertools.count(1)
    return lambda stem="n": f"{stem}-{os.getpid()}-{next(numbers)}"


@pytest.fixture(scope="module")
def basics(stack):
    """Team t-test, owner o-test, issuer iss-local."""
    stack.make_basics()
    return stack


@pytest.fixture
def new_agent(api, unique):
    """Registers an agent by hand: (its id, its own key)."""
    def make(name=None):
        name = name or unique("agent")
        status, reply = api.post("/api/v1/agents", {"name": name, "hostname": f"{name}.example.test"}, key=BOOTSTRAP)
        assert status == 201, reply
        return reply["id"], reply.get("api_key")
    return make
