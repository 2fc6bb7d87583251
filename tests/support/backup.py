"""A base backup of a fleet's database, and the restore of it, as docs/operator/runbooks/postgres-backup.md does them."""
import shutil
import signal
import subprocess

from fleet import clean_env, pg_bin, wait_for


def back_up(fleet, seconds):
    base = fleet.make_data_dir("base")
    subprocess.run([pg_bin() / "pg_basebackup", "-c", "fast", "-X", "stream", "--no-sync", "-D", base, "-h", fleet.socket_dir,
                    "-U", "postgres"], check=True, env=clean_env(), cwd="/", user=fleet.pg_user, timeout=seconds)
    return base


def restore(fleet, base, programs, seconds):
    """The older copy in place of the database; the programs, all that are not agents, start anew on it."""
    for name in programs:
        fleet.processes[name].stop(timeout=seconds)
    fleet.processes["postgres"].stop(timeout=seconds, signo=signal.SIGINT)
    fleet.forget_connections()
    shutil.rmtree(fleet.pgdata)
    base.rename(fleet.pgdata)
    fleet.processes["postgres"].start()
    wait_for(fleet.database_is_up, seconds, "the restored database", every=0.05)
    for name in programs:
        fleet.processes[name].start()
