"""
Fixtures of the integration tests.

stack is a control plane of its own for each test file: a private PostgreSQL,
migrated, and an apiserver; the rest is started as the file needs it
(start_scheduler, start_worker, start_agent, start_nginx of the fleet).  The
build under test is named by BUILD_DIR.
"""
import ctypes
import itertools
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from fleet import BOOTSTRAP, BUILD, PATIENCE, Fleet, is_sanitized  # noqa: E402

LIMIT_S = 180
PR_SET_PDEATHSIG = 1
LOG_LINES = 15
MEMORY_BYTES = 4 << 30
LONGEST = ("test_cli_flags", "test_bench", "test_local_proof", "test_local_up", "test_local_sim", "test_local_stack",
           "test_loadtest", "test_lanes", "test_upgrade", "test_guard", "test_list_plans", "test_growth", "test_failover_suite",
           "test_monitoring", "test_idle_duties", "test_properties", "test_cli", "test_mutations", "test_issuers_faults",
           "test_revocations_outside", "test_issuers_conformance", "test_migrations", "test_cli_table", "test_interrupted",
           "test_list_queries", "test_acme_issuer_faults", "test_conditions", "test_globalsign", "test_near_misses",
           "test_acme_windows", "test_events", "test_routes", "test_acme_hostile", "test_audit_cli", "test_bus_certificates",
           "test_lists", "test_contract", "test_bulk", "test_hostile_ca", "test_notify", "test_hosts", "test_alerts",
           "test_processes", "test_acme_issuer", "test_held_rows", "test_conditions_real", "test_issuers_lists",
           "test_host_faults", "test_servers", "test_agent_bad", "test_lint_certificates", "test_audit_api", "test_tutorials",
           "test_floods", "test_ocsp", "test_held", "test_ejbca", "test_duties", "test_health_checks", "test_acme_validate",
           "test_acme_zerossl", "test_renewal", "test_route_audit", "test_agent_adopt", "test_hierarchy")
MARKS = re.compile(r"^(NOT_SANITIZED|PLAIN_TOO) = ", re.MULTILINE)
# Of these every expected refusal logs lines.
QUIET = {"initdb", "migrate", "postgres"}


def pytest_configure(config):
    """A worker of xdist ends with who started it, whatever ended that one."""
    if hasattr(config, "workerinput"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def room_in_memory():
    """Where databases cost no disk, if there is room for some at once: making files on a disk takes ten times as long."""
    place = "/dev/shm"
    with open("/proc/meminfo", encoding="ascii") as known:
        available = next(int(line.split()[1]) * 1024 for line in known if line.startswith("MemAvailable:"))
    has_room = os.access(place, os.W_OK) and shutil.disk_usage(place).free >= MEMORY_BYTES and available >= 2 * MEMORY_BYTES
    return place if has_room and os.path.ismount(place) else None


def pytest_sessionstart(session):
    """Who starts the workers makes what every fleet begins with."""
    if not (BUILD / "apiserver" / "certctl-apiserver").exists():
        pytest.exit(f"no certctl-apiserver below {BUILD}: build first, or set BUILD_DIR", 2)
    if hasattr(session.config, "workerinput"):
        Fleet.template = session.config.workerinput["template"]
        Fleet.memory = session.config.workerinput["memory"]
        return
    if session.config.option.collectonly:
        return
    Fleet.memory = room_in_memory()
    session.config.made = Fleet("template")
    session.config.made.become_template()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["template"] = str(Fleet.template)
    node.workerinput["memory"] = Fleet.memory


def pytest_sessionfinish(session):
    made = getattr(session.config, "made", None)
    if made is not None:
        made.close()
        assert not made.alarms, "\n".join(made.alarms)


def is_left_out(path):
    """By what its text says: what is left out is not even imported, which takes longest of all that comes before the tests."""
    marks = set(MARKS.findall(path.read_text(encoding="utf-8")))
    if is_sanitized():
        return "NOT_SANITIZED" in marks
    return bool(os.environ.get("TEST_ONCE")) and not marks


def pytest_ignore_collect(collection_path):
    """
    A file says by NOT_SANITIZED why a sanitizer has nothing to look at in it: it is tested with the plain build alone; and by
    PLAIN_TOO why the optimized programs should do the same as the sanitized ones.  Others are tested with the sanitized build,
    and where TEST_ONCE is set (tools/test.sh without a part) with no other.  Whoever names a file has it tested.
    """
    return (collection_path.suffix == ".py" and collection_path.is_file() and is_left_out(collection_path)) or None


def pytest_collection_modifyitems(items):
    """Files go to the workers in this order: one of these begun last would be waited for alone."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the end of every process's log."""
    report = (yield).get_result()
    fleets = {id(f): f for f in getattr(item, "funcargs", {}).values() if isinstance(f, Fleet)}
    for stack in fleets.values() if report.failed else ():
        for path in sorted(p for p in (stack.dir / "log").glob("*.log") if p.stem not in QUIET):
            lines = path.read_text(errors="replace").splitlines()[-LOG_LINES:]
            if lines:
                report.sections.append((path.name, "\n".join(lines)))


@pytest.fixture(autouse=True)
def time_limit(request):
    """No test may hang the run.  A module whose tests take long says LIMIT_S itself."""
    limit = getattr(request.module, "LIMIT_S", LIMIT_S) * PATIENCE

    def late(*_):
        raise TimeoutError(f"the test took longer than {limit} s")
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(limit)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def fleets(name):
    """One empty fleet; its end fails on what a sanitizer or assertion wrote."""
    fleet = Fleet(name)
    try:
        yield fleet
    finally:
        fleet.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


@pytest.fixture
def fleet(request):
    """A fleet of the test's own, nothing started."""
    yield from fleets(request.node.name.removeprefix("test_"))


@pytest.fixture(scope="module")
def stack(request):
    """A module with more schedulers than one says so by SCHEDULERS."""
    for fleet in fleets(request.module.__name__.removeprefix("test_")):
        fleet.bus_count = getattr(request.module, "SCHEDULERS", 1)
        fleet.start_postgres(keep=True)
        fleet.start_apiserver(keep=True)
        yield fleet


@pytest.fixture(scope="module")
def cursor(request):
    """The owner's session with a database of this version, and no process beside it."""
    for fleet in fleets(request.module.__name__.removeprefix("test_")):
        fleet.start_postgres()
        with fleet.admin() as c:
            yield c


@pytest.fixture(scope="module")
def plane(stack):
    """stack with a scheduler, a worker, and the objects every certificate needs."""
    stack.start_scheduler(keep=True)
    stack.start_worker(keep=True)
    stack.make_basics()
    return stack


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
