"""
Duties that take minutes hold nothing that commits need, and one that was given
up is given up in the database too, however often the leader changes.
"""
from fleet import wait_for

LIMIT_S = 120
SLEEPERS = {
    "agent_health": ("duty_agent_health(bigint)", "duty_agent_health(p_ms bigint) RETURNS bigint", "0::bigint"),
    "redeploy": ("duty_redeploy(int)", "duty_redeploy(p_limit int) RETURNS TABLE (rows bigint, agents text[])", "0::bigint, '{}'::text[]"),
}
FLAPS = 4


def sleeping(fleet):
    return fleet.value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'certctl-scheduler%%' AND wait_event = 'PgSleep'")


def test_a_leader_that_flaps_over_long_duties(fleet):
    fleet.start_postgres()
    for name, (was, head, row) in SLEEPERS.items():
        fleet.query(f"ALTER FUNCTION {was} RENAME TO hidden_{name}")
        fleet.query(f"CREATE FUNCTION {head} LANGUAGE sql AS $$ SELECT {row} FROM pg_sleep(600) $$")
    fleet.start_scheduler(1, CERTCTL_DATABASE_MAX_CONNS="4")
    fleet.start_worker(1)
    for _ in range(FLAPS):
        term = wait_for(lambda: fleet.value("SELECT term FROM leadership WHERE expires_at > clock_timestamp()"), 20, "a leader")
        wait_for(lambda: fleet.value("SELECT count(*) FROM duties WHERE name = ANY (%s) AND last_outcome = 'running' AND term = %s",
                                     list(SLEEPERS), term) == len(SLEEPERS), 30, "the duties to run")
        wait_for(lambda: sleeping(fleet) == len(SLEEPERS), 30, "those of the terms before to be broken off")
        fleet.query("UPDATE leadership SET expires_at = '-infinity'")
        wait_for(lambda: fleet.value("SELECT term FROM leadership") > term, 20, "the next term")
    fleet.query("INSERT INTO tasks (id, kind, subject) SELECT id_new('task'), 'noop', 'x' FROM generate_series(1, 500)")
    wait_for(lambda: fleet.value("SELECT count(*) FROM tasks") == 0, 20, "work to be handed out and committed")
