"""
What the files of make bench share; and how much of everything they take: with
--short so little that a run shows only whether the entry works.
"""
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support")]
from fleet import wait_for  # noqa: E402

IS_SHORT = "--short" in sys.argv[1:]


def sized(full, short):
    return short if IS_SHORT else full


RUNS = sized(5, 1)
SAMPLED = 500
BENCH_PG = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "shared_buffers": sized("1GB", "128MB"),
            "max_wal_size": "4GB", "checkpoint_timeout": "15min"}


def pss_kb(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def wait_completed(fleet, total):
    """
    Until total jobs are Completed.  All are counted only once those that are
    looked at, one in five hundred, have ended: counting takes the time of
    what is measured, more and more of it as jobs pile up.
    """
    some = fleet.value("SELECT array_agg(id) FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM jobs "
                       "WHERE status IN ('Pending', 'Running')) o WHERE n %% %s = 0", SAMPLED)
    wait_for(lambda: fleet.value("SELECT count(*) FROM jobs WHERE id = ANY (%s) AND status <> 'Completed'", some) == 0, 120,
             "the drain", every=0.02)
    wait_for(lambda: fleet.value("SELECT count(*) FROM jobs WHERE status = 'Completed'") == total, 120, "the rest", every=0.02)
