"""
The scenarios of `make failover`, each with a database of its own that moves
under load; how long it takes is printed, and for a quiet machine to judge.
"""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import failover  # noqa: E402
from hosts import CannotMake  # noqa: E402

LIMIT_S = 300
NOT_SANITIZED = "the short make failover; what the programs do when a database moves, test_failover and test_servers test"


@pytest.mark.parametrize("name", list(failover.SCENARIOS))
def test_database_moves(name):
    try:
        line, lost, doubled = failover.play(name, certificates=8)
    except CannotMake as e:
        pytest.skip(f"no network namespaces here: {e}")
    print(line)
    assert (lost, doubled) == ([], [])
