"""
A rolling upgrade to another release and back, under load and a few kills
(tests/chaos/upgrade.py; "make upgrade" is the long form).
"""
import random
import sys

import pytest

from fleet import ROOT, Fleet
from release import THIS, make_next

sys.path.append(str(ROOT / "tests" / "chaos"))
import upgrade  # noqa: E402

KILLS = 6
LIMIT_S = 150
NOT_SANITIZED = "the other release is compiled by itself, and one release runs beside the other as both are shipped"


@pytest.fixture(scope="module")
def scene():
    seed = random.SystemRandom().randrange(1 << 30)
    fleet = Fleet("upgrade")
    try:
        other = make_next(fleet.dir)
        fleet.start_postgres(keep=True)
        yield upgrade.Upgrade(fleet, other, seed)
    finally:
        fleet.close()
    assert not fleet.alarms, "\n".join(fleet.alarms)


@pytest.fixture
def stack(scene):
    """Whose logs a failure shows."""
    return scene.fleet


def codes(scene):
    return [r[0] for r in scene.fleet.query("SELECT name FROM code_schemas ORDER BY 1")]


def test_the_other_release_installs_itself_beside_this_one(stack, scene):
    scene.migrate()
    assert codes(scene) == sorted([THIS.code, scene.other.code])


def test_upgrade(stack, scene):
    """In any order; while one of two is replaced, both releases end jobs by their own functions."""
    scene.roll(scene.other, KILLS)
    assert {release.code for release in scene.now.values()} == {scene.other.code}


def test_roll_back(stack, scene):
    """Nothing is migrated: the functions of the release before are there still."""
    scene.roll(THIS, KILLS)
    assert {release.code for release in scene.now.values()} == {THIS.code}
    assert codes(scene) == sorted([THIS.code, scene.other.code])


def test_nothing_is_lost_or_doubled_and_nobody_was_told_of_an_error(stack, scene):
    wrong = scene.finish()
    assert not wrong, "\n".join([f"seed {scene.seed}", *wrong])
    assert scene.replaced == 2 * len(upgrade.NAMES) and scene.struck == 2 * KILLS
    assert scene.ended[None] > 20 and scene.ended["next"] > 20
