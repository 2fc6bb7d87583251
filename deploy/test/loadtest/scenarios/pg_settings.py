"""
The same drain with PostgreSQL as it comes and with settings for a machine of its own: what they are worth.
"""
import engine

NAME = "postgresql_settings"
GROUP = "scale"
SECONDS = LONGEST = 60  # in less time there are fewer renewals
OWN_SERVER = "a given server has the settings it has"
WHAT = "20000 renewals of the local CA, PostgreSQL's defaults beside production-sized settings"
CERTIFICATES = 20000
LEAST_RATE = 50
AS_IT_COMES = {"shared_buffers": "128MB", "max_wal_size": "1GB", "checkpoint_timeout": "5min"}
PRODUCTION = {"shared_buffers": "2GB", "effective_cache_size": "6GB", "work_mem": "32MB", "maintenance_work_mem": "256MB", "max_wal_size": "8GB",
              "checkpoint_timeout": "15min", "checkpoint_completion_target": "0.9", "wal_compression": "lz4", "wal_buffers": "16MB",
              "random_page_cost": "1.1", "effective_io_concurrency": "200", "autovacuum_vacuum_cost_limit": "2000"}


def drain_with(run, name, settings, count, csrs):
    with run.stack(**settings) as stack:
        stack.start()
        engine.make(stack, count)
        with stack.sampled(), engine.watched(stack, run.report, name) as drain:
            engine.enqueue(stack, count, csrs)
            took = engine.wait_drained(stack, count, 120 + count / LEAST_RATE)
        run.report.measure(f"jobs ended a second, {name}", "jobs/s", values=drain.rates())
        engine.judge(stack, run.report, count, f"{name}: ")
        checkpoints = stack.value("SELECT checkpoints_timed + checkpoints_req FROM pg_stat_bgwriter")
        run.report.count(**{f"{name}_jobs_a_second": round(count / took, 1), f"{name}_checkpoints": checkpoints})
        return count / took


def run(run):
    count = engine.scaled(run, CERTIFICATES)
    csrs = engine.csrs()
    run.report.load(certificates=count, what=WHAT.replace(str(CERTIFICATES), str(count)))
    plain = drain_with(run, "defaults", AS_IT_COMES, count, csrs)
    sized = drain_with(run, "production", PRODUCTION, count, csrs)
    run.report.data["postgresql"]["beside"] = ", ".join(f"{key} {value}" for key, value in AS_IT_COMES.items())
    run.report.floor("the same with PostgreSQL's defaults", round(plain, 1), "jobs/s", round(sized / plain, 3))
    run.report.threshold("jobs a second with production settings, in those of the defaults", "> 0.7", round(sized / plain, 3))
    run.report.threshold("jobs a second with production settings", f"> {LEAST_RATE} jobs/s", round(sized, 1))
