"""
Migrations: up, all down, up again to the same schema; two at once; a newer or
an older schema than the program's.
"""
import subprocess

import pytest

from fleet import BUILD, ROOT, clean_env, pg_bin, wait_for

NAMES = sorted(p.name.removesuffix(".up.sql") for p in (ROOT / "migrations").glob("*.up.sql"))


@pytest.fixture(scope="module")
def server(request):
    from fleet import Fleet
    fleet = Fleet("migrations")
    try:
        fleet.start_postgres()
        yield fleet
    finally:
        fleet.close()


@pytest.fixture
def database(server, unique):
    """(url, name) of an empty database."""
    name = unique("m").replace("-", "_")
    with server.admin("postgres") as c:
        c.execute(f"CREATE DATABASE {name}")
    yield f"postgresql://postgres@/{name}?host={server.socket_dir}", name
    with server.admin("postgres") as c:
        c.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(url, *arguments, directory=None):
    return subprocess.run([BUILD / "apiserver" / "certctl-apiserver", *arguments], text=True, capture_output=True, timeout=50,
                          cwd="/", check=False, env=clean_env() | {
                              "CERTCTL_DATABASE_URL": url, "CERTCTL_DATABASE_MIGRATIONS_PATH": str(directory or ROOT / "migrations")})


def schema(server, name):
    text = subprocess.run([pg_bin() / "pg_dump", "-h", server.socket_dir, "-U", "postgres", "-s", name], text=True, check=True,
                          capture_output=True, env=clean_env()).stdout
    # Newer minor versions of pg_dump frame it with a random word.
    return "\n".join(line for line in text.replace(name, "").splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def applied(server, name):
    with server.admin(name) as c:
        c.execute("SELECT version FROM schema_migrations ORDER BY 1")
        return [r[0] for r in c.fetchall()]


def objects(server, name):
    with server.admin(name) as c:
        c.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace UNION ALL SELECT proname FROM pg_proc p "
                  "WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid "
                  "AND d.deptype = 'e') UNION ALL SELECT typname FROM pg_type t WHERE typnamespace = 'public'::regnamespace "
                  "AND typrelid = 0 AND typelem = 0")
        return sorted(r[0] for r in c.fetchall())


def test_every_up_has_its_down():
    downs = sorted(p.name.removesuffix(".down.sql") for p in (ROOT / "migrations").glob("*.down.sql"))
    assert NAMES and NAMES == downs
    numbers = [n.split("_")[0] for n in NAMES]
    assert numbers == sorted(set(numbers)) and all(len(n) == 4 and n.isdigit() for n in numbers)


def test_up_down_up(server, database):
    url, name = database
    done = run(url, "--migrate-only")
    assert done.returncode == 0, done.stderr
    assert applied(server, name) == NAMES
    first = schema(server, name)
    done = run(url, f"--migrate-down={len(NAMES)}")
    assert done.returncode == 0, done.stderr
    assert applied(server, name) == []
    assert [o for o in objects(server, name) if not o.startswith("schema_migrations")] == []
    assert run(url, "--migrate-only").returncode == 0
    assert schema(server, name) == first
    # nothing to do is fine
    assert run(url, "--migrate-only").returncode == 0
    assert applied(server, name) == NAMES


def test_one_down_and_up(server, database):
    url, name = database
    assert run(url, "--migrate-only").returncode == 0
    first = schema(server, name)
    for n in range(1, len(NAMES) + 1):
        assert run(url, f"--migrate-down={n}").returncode == 0
        assert applied(server, name) == NAMES[:-n]
        assert run(url, "--migrate-only").returncode == 0
        assert schema(server, name) == first


def test_requests_and_chains_move_and_come_back(server, database):
    """0014: each CSR and the CA's fingerprint have a place of their own; the way back leaves what there was."""
    url, name = database
    back = f"--migrate-down={len(NAMES) - NAMES.index('0014_wal')}"
    jobs = [("job-1", "Pending", "csr 1", "k1", "{\"ca\": \"ab12\"}"), ("job-2", "Completed", "csr 2", "k2",
            "{\"ca\": \"ab12\", \"ekus\": [\"serverAuth\"]}"), ("job-3", "AwaitingCSR", None, None, None), ("job-4", "Pending", "csr 4", "k4", "{}")]
    versions = [("certver-2", "job-2", "leaf 2, root", "csr 2"), ("certver-5", "job-5", "leaf 5, root", "csr 5"),
                ("certver-6", "job-6", "leaf 6, root", None)]
    assert run(url, "--migrate-only").returncode == 0
    assert run(url, back).returncode == 0
    with server.admin(name) as c:
        c.execute("SET session_replication_role = replica")  # without the rows that these refer to
        for j in jobs:
            c.execute("INSERT INTO jobs (id, type, status, completed_at, not_before, csr_pem, csr_key_sha256, extensions) VALUES "
                      "(%s, 'Renewal', %s, CASE WHEN %s = 'Completed' THEN now() END, CASE WHEN %s IS NOT NULL THEN now() END, "
                      "%s, %s, %s)", (*j[:2], j[1], j[4], *j[2:]))
        for v in versions:
            c.execute("INSERT INTO certificate_versions (id, job_id, pem_chain, csr_pem, certificate_id, serial_number, not_before, "
                      "not_after, fingerprint_sha256, issuer_id) VALUES (%s, %s, %s, %s, 'c', %s, now(), now(), '', 'i')",
                      (*v, v[0]))
    for _ in range(2):
        assert run(url, "--migrate-only").returncode == 0
        with server.admin(name) as c:
            c.execute("SELECT * FROM certificate_requests ORDER BY job_id")
            assert c.fetchall() == [("job-1", "csr 1", "k1"), ("job-2", "csr 2", "k2"), ("job-4", "csr 4", "k4"), ("job-5", "csr 5", "")]
            c.execute("SELECT encode(ca_sha256, 'hex'), extensions::text FROM jobs ORDER BY id")
            assert c.fetchall() == [("ab12", None), ("ab12", '{"ekus": ["serverAuth"]}'), (None, None), (None, None)]
            c.execute("SELECT id, pem_chain, chain_id FROM certificate_versions ORDER BY id")
            assert c.fetchall() == [(v[0], v[2], None) for v in versions]
        assert run(url, back).returncode == 0
        with server.admin(name) as c:
            c.execute("SELECT id, status, csr_pem, csr_key_sha256, extensions::text FROM jobs ORDER BY id")
            assert c.fetchall() == jobs
            c.execute("SELECT id, job_id, pem_chain, csr_pem FROM certificate_versions ORDER BY id")
            assert c.fetchall() == versions
    assert run(url, "--migrate-only").returncode == 0
    with server.admin(name) as c:
        c.execute("SET session_replication_role = replica")
        c.execute("UPDATE certificate_versions SET pem_chain = 'leaf 2', chain_id = certificate_chain_keep(', root') WHERE id = 'certver-2'")
    assert run(url, back).returncode == 0
    with server.admin(name) as c:
        c.execute("SELECT id, job_id, pem_chain, csr_pem FROM certificate_versions ORDER BY id")
        assert c.fetchall() == versions


def test_two_at_once(server, database):
    url, name = database
    command = [BUILD / "apiserver" / "certctl-apiserver", "--migrate-only"]
    env = clean_env() | {"CERTCTL_DATABASE_URL": url, "CERTCTL_DATABASE_MIGRATIONS_PATH": str(ROOT / "migrations")}
    both = [subprocess.Popen(command, env=env, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    results = [(p.communicate(timeout=50), p.returncode) for p in both]
    assert [r for _, r in results] == [0] * 4, results
    assert applied(server, name) == NAMES
    assert run(url, "--migrate-only").returncode == 0


def test_a_migration_that_fails_leaves_nothing_of_it(server, database, tmp_path):
    url, name = database
    for path in (ROOT / "migrations").glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "9001_bad.up.sql").write_text("CREATE TABLE half (x int);\nSELECT 1 / 0;\n")
    (tmp_path / "9001_bad.down.sql").write_text("DROP TABLE half;\n")
    done = run(url, "--migrate-only", directory=tmp_path)
    assert done.returncode == 1 and "9001_bad" in done.stderr and "division by zero" in done.stderr
    assert applied(server, name) == NAMES
    assert "half" not in objects(server, name)


@pytest.mark.parametrize("option", ["--migrate-down=0", "--migrate-down=x", "--migrate-down", "--migrate-down=-1"])
def test_odd_numbers_are_refused(database, option):
    done = run(database[0], option)
    assert done.returncode != 0 and done.stderr


def test_no_database_and_no_directory(server, database, tmp_path):
    done = run("postgresql://postgres@/certctl?host=/no/such/dir", "--migrate-only")
    assert done.returncode == 1 and done.stderr
    done = run(database[0], "--migrate-only", directory=tmp_path / "none")
    assert done.returncode == 1 and "none" in done.stderr


def test_programs_refuse_an_old_schema(server, database):
    """And say what to do."""
    url, name = database
    server.make_tls()
    env = clean_env() | {
        "CERTCTL_DATABASE_URL": url, "CERTCTL_SERVER_PORT": "1", "CERTCTL_AGENT_BOOTSTRAP_TOKEN": "x" * 40,
        "CERTCTL_BUS_URLS": f"ipc://{server.dir}/bus/none", "CERTCTL_BUS_LISTEN_URL": f"ipc://{server.dir}/bus/none",
        "CERTCTL_CA_ENCRYPTION_KEY": "x" * 40, "CERTCTL_ISSUANCE_JOURNAL_DIR": str(server.dir / "journal"),
        "CERTCTL_SERVER_TLS_CERT_PATH": str(server.dir / "tls" / "api.pem"),
        "CERTCTL_SERVER_TLS_KEY_PATH": str(server.dir / "tls" / "api.key"),
        "CERTCTL_API_KEYS_NAMED": f"admin:{'k' * 40}:admin"}
    for program in ("apiserver", "scheduler", "worker"):
        done = subprocess.run([BUILD / program / f"certctl-{program}"], env=env, text=True, capture_output=True, timeout=45,
                              cwd="/", check=False)
        assert done.returncode != 0 and "--migrate-only" in done.stderr, (program, done)


def test_a_newer_schema_will_do(server, database):
    url, name = database
    assert run(url, "--migrate-only").returncode == 0
    with server.admin(name) as c:
        c.execute("INSERT INTO schema_migrations (version) VALUES ('9999_future')")
    fleet_url = server.url
    server.url = lambda role: f"postgresql://{role}@/{name}?host={server.socket_dir}"
    try:
        process = server.start_apiserver()
        wait_for(lambda: server.api.get("/ready")[0] == 200, 10, "the API")
        assert process.stop() == 0
    finally:
        server.url = fleet_url
