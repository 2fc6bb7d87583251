"""
A duty with nothing to do costs next to nothing, however many certificates and
finished jobs there are and whatever the statistics say of them.
"""
import pytest

from idle import DUTIES, LOOKS, RUNS, Session, make_inventory

LIMIT_S = 240
NOT_SANITIZED = "PostgreSQL alone works: statements are explained"
CERTIFICATES = 30000
IN_PROGRESS = 6000
BUFFERS_MOST = 2000
# What comes each second must not read so much as the index of a column of all certificates: 120 pages of these at least.
LOOK_MOST = {"duty_rows": 100}
# The first run of a session makes its plans, which reads the catalog; after some more it keeps them.
GENERIC_AFTER = 7


@pytest.fixture(scope="module")
def sessions(request):
    """By what their plans were made from: empty tables, tables just filled, tables analysed."""
    from conftest import fleets
    for fleet in fleets("idle_duties"):
        fleet.start_postgres(autovacuum="off")
        empty = Session(fleet)
        for duty in RUNS:
            for _ in range(GENERIC_AFTER):
                empty.run(duty)
        with fleet.admin() as c:
            make_inventory(c, CERTIFICATES, IN_PROGRESS)
        Session(fleet).settle()
        filled = Session(fleet)
        costs = {}
        for name, session in (("empty", empty), ("filled", filled)):
            costs[name] = session.costs(GENERIC_AFTER)
        with fleet.admin() as c:
            c.execute("VACUUM ANALYZE")
        costs["analysed"] = Session(fleet).costs(GENERIC_AFTER)
        yield costs


def test_each_duty_has_its_statements():
    assert sorted(RUNS) == sorted(DUTIES)


@pytest.mark.parametrize("plans", ["empty", "filled", "analysed"])
@pytest.mark.parametrize("duty", DUTIES)
def test_nothing_to_do(sessions, duty, plans):
    costs = sessions[plans][duty]
    assert max(buffers for _, buffers in costs) < BUFFERS_MOST, costs


@pytest.mark.parametrize("plans", ["empty", "filled", "analysed"])
@pytest.mark.parametrize("look", LOOKS)
def test_a_look_that_finds_nothing(sessions, look, plans):
    """It is made once a second: at a million certificates duty_rows walked an index of them all, for a second."""
    costs = sessions[plans][look]
    assert max(buffers for _, buffers in costs) < LOOK_MOST.get(look, BUFFERS_MOST), costs
