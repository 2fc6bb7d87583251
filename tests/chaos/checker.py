#!/usr/bin/python3
"""
Counts what was lost and what was done twice, from the database and the
issuance journals (docs/internals/issuing.md says why these prove it).

Lost: a job accepted with 2xx that is not in a final state after quiet, unless
it waits for a person; Completed without its version; a journalled serial without its job's record.
Doubled: a job with two versions; two completed deployments of one version to
one target; two different to-be-signed hashes of a job, neither written off.
"""
import sys
from collections import defaultdict
from pathlib import Path


def read_journals(directory):
    """[(serial, hash, job)]; a line cut off by a crash says nothing."""
    entries = []
    for path in sorted(Path(directory).glob("*.journal")):
        # What follows the last newline was cut off, and never signed.
        for line in path.read_text(errors="replace").split("\n")[:-1]:
            fields = line.split()
            # With nine it is the line that brings the certificate, after the first.
            if len(fields) in (4, 5) and len(fields[1]) == 40 and len(fields[2]) == 64 and fields[3].startswith("job-"):
                entries.append((fields[1], fields[2], fields[3]))
    return entries


def find_lost(query, accepted, journal):
    lost = []
    rows = {r[0]: r for r in query("SELECT id, status, type, version_id FROM jobs WHERE id = ANY(%s)", list(accepted))}
    for job in accepted:
        if job not in rows:
            lost.append(f"job {job} was accepted and has no row")
        elif rows[job][1] not in ("Completed", "Failed", "Cancelled", "AwaitingApproval"):
            lost.append(f"job {job} was accepted and is still {rows[job][1]}")
    for (job,) in query("SELECT j.id FROM jobs j LEFT JOIN certificate_versions v ON v.id = j.version_id "
                        "WHERE j.status = 'Completed' AND j.type IN ('Issuance', 'Renewal') AND v.id IS NULL"):
        lost.append(f"job {job} is Completed without a version")
    known = {(r[0], r[1]) for r in query("SELECT id, serial_number FROM jobs WHERE serial_number IS NOT NULL")}
    known |= {(r[0], r[1]) for r in query("SELECT job_id, serial_number FROM certificate_revocations WHERE job_id IS NOT NULL")}
    # Put back by a recovery: its job is not known any more.
    known |= {(r[0], r[1]) for r in query("SELECT job_id, serial_number FROM certificate_versions")}
    for serial, _, job in journal:
        if (job, serial) not in known:
            lost.append(f"serial {serial} was journalled for job {job}, which has no record of it")
    return lost


def find_doubled(query, journal):
    doubled = []
    for job, n in query("SELECT job_id, count(*) FROM certificate_versions GROUP BY 1 HAVING count(*) > 1"):
        doubled.append(f"job {job} has {n} versions")
    for version, target, n in query(
            "SELECT version_id, target_id, count(*) FROM jobs WHERE type = 'Deployment' AND status = 'Completed' "
            "AND requested_by = 'system' AND retry_of IS NULL GROUP BY 1, 2 HAVING count(*) > 1"):
        doubled.append(f"version {version} was deployed to {target} {n} times")
    written_off = {r[0] for r in query("SELECT serial_number FROM certificate_revocations")}
    signed = defaultdict(set)
    for serial, digest, job in journal:
        if serial not in written_off:
            signed[job].add((serial, digest))
    for job, entries in signed.items():
        if len(entries) > 1:
            doubled.append(f"job {job} has {len(entries)} different to-be-signed certificates")
    return doubled


def check(query, accepted, journal_dir):
    journal = read_journals(journal_dir)
    return find_lost(query, accepted, journal), find_doubled(query, journal)


def main():
    import psycopg2
    if len(sys.argv) != 3:
        sys.exit("usage: checker.py DATABASE_URL JOURNAL_DIR: checks a quiet control plane")
    connection = psycopg2.connect(sys.argv[1])

    def query(sql, *parameters):
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return cursor.fetchall()
    accepted = [r[0] for r in query("SELECT id FROM jobs WHERE status NOT IN ('AwaitingCSR', 'AwaitingApproval')")]
    lost, doubled = check(query, accepted, sys.argv[2])
    for line in lost:
        print("lost:", line)
    for line in doubled:
        print("doubled:", line)
    print(f"checked: jobs={len(accepted)} lost={len(lost)} doubled={len(doubled)}")
    sys.exit(1 if lost or doubled else 0)


if __name__ == "__main__":
    main()
