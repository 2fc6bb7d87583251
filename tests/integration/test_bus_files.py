"""
The bus's socket files go while the control plane runs: whoever starts then
finds the leader all the same, and the jobs go on.
"""
import pytest

from fleet import Fleet, wait_for

SCHEDULERS = 2


@pytest.fixture(scope="module")
def plane(stack: Fleet):
    stack.start_scheduler(1)
    stack.start_scheduler(2)
    stack.start_worker(1)
    stack.make_basics()
    return stack


def socket_files(plane):
    return sorted(p for p in plane.dir.rglob("*") if p.is_socket() and p.suffix in (".hint", ".work", ".events"))


def test_a_worker_that_starts_after_the_files_went(plane):
    site = plane.start_site("demo")
    site.renew_and_wait()
    files = socket_files(plane)
    assert len(files) == 6, files
    for path in files:
        path.unlink()
    plane.processes["worker-1"].stop()
    plane.start_worker(2)
    site.renew_and_wait(60)
    wait_for(lambda: socket_files(plane) == files, 20, "the socket files")
    told = plane.processes["scheduler-1"].log() + plane.processes["scheduler-2"].log()
    assert told.count("code=BUS-RELISTEN") == 6
