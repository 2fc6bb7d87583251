"""
Migrations: up, all down, up again to the same schema; two at once; a newer or
an older schema than the program's.  Functions: each stands once, and those of
several versions stand side by side until nobody uses them.
"""
import contextlib
import re
import shutil
import subprocess
import threading

import psycopg2
import pytest

from fleet import API_KEY, BOOTSTRAP, BUILD, ROOT, clean_env, code_schema, code_text, free_port, pg_bin, wait_for

CODE = code_schema()
OTHER = "certctl_" + 12 * "0"  # before any other in order
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


def run(url, *arguments, directory=None, **env):
    return subprocess.run([BUILD / "apiserver" / "certctl-apiserver", *arguments], text=True, capture_output=True, timeout=50,
                          cwd="/", check=False, env=clean_env() | {
                              "CERTCTL_DATABASE_URL": url, "CERTCTL_DATABASE_MIGRATIONS_PATH": str(directory or ROOT / "migrations")} | env)


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
                  "AND typrelid = 0 AND typelem = 0 AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'e') UNION ALL SELECT nspname FROM pg_namespace WHERE nspname ~ '^certctl_'")
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
    # nothing to do is fine, and said
    done = run(url, "--migrate-only")
    assert done.returncode == 0 and "are applied" in done.stdout and f"{CODE} are installed" in done.stdout
    assert applied(server, name) == NAMES


def test_each_down_undoes_its_up(server, database):
    """From the first up to the last, and back: what stands between two is the same both ways.  Below the first an extension stays."""
    _, name = database

    def apply(migration, way):
        with server.admin(name) as c:
            c.execute((ROOT / "migrations" / f"{migration}.{way}.sql").read_text(encoding="utf-8"))
        return schema(server, name)
    before = [apply(migration, "up") for migration in NAMES]
    assert len(set(before)) == len(NAMES)
    for migration in reversed(NAMES[1:]):
        before.pop()
        assert apply(migration, "down") == before[-1], migration


def test_a_policy_of_an_operator_s_stays_theirs(server, database):
    """What ACME clients' certificates have by default is another, whatever an operator called one before."""
    url, name = database
    assert run(url, "--migrate-only").returncode == 0
    assert run(url, f"--migrate-down={len(NAMES) - NAMES.index('0012_acme')}").returncode == 0
    with server.admin(name) as c:
        c.execute("INSERT INTO renewal_policies (id, name, renewal_window_days, auto_renew) VALUES ('rp-acme', 'Acme Inc.', 7, true), "
                  "('rp-acme-2', 'ACME clients', 8, true)")
    assert run(url, "--migrate-only").returncode == 0
    with server.admin(name) as c:
        c.execute("SELECT id, name, renewal_window_days, auto_renew, is_acme_default FROM renewal_policies WHERE id LIKE 'rp-acme%' ORDER BY id")
        assert c.fetchall() == [("rp-acme", "Acme Inc.", 7, True, False), ("rp-acme-2", "ACME clients", 8, True, False),
                                ("rp-acme-3", "ACME clients 2", 30, False, True)]


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
    shutil.copytree(ROOT / "migrations", tmp_path, dirs_exist_ok=True)
    (tmp_path / "9001_bad.up.sql").write_text("CREATE TABLE half (x int);\nSELECT 1 / 0;\n")
    (tmp_path / "9001_bad.down.sql").write_text("DROP TABLE half;\n")
    done = run(url, "--migrate-only", directory=tmp_path)
    assert done.returncode == 1 and "9001_bad" in done.stderr and "division by zero" in done.stderr
    assert applied(server, name) == NAMES
    assert "half" not in objects(server, name)


def test_down_is_refused_beside_programs(server, database):
    """Each that lives is named, and nothing is touched; those that ended are no matter."""
    url, name = database
    assert run(url, "--migrate-only").returncode == 0
    with server.admin(name) as c:
        for table, column in (("workers", "lease_until"), ("schedulers", "seen_at"), ("apiservers", "seen_at")):
            urls = "" if table == "workers" else ", url"
            value = "" if table == "workers" else ", ''"
            for incarnation, ago in (("lives", "-1 second" if table == "workers" else "1 second"), ("ended", "20 seconds")):
                c.execute(f"INSERT INTO {table} (incarnation, name, host, pid, {column}{urls}) VALUES (%s, %s, 'host-a', 77, "
                          f"clock_timestamp() - %s::interval{value})", (incarnation, f"{table}-{incarnation}", ago))
        # The worker's lease goes on for the length of the test.
        c.execute("UPDATE workers SET lease_until = clock_timestamp() + interval '1 hour' WHERE incarnation = 'lives'")
    before = schema(server, name)
    done = run(url, "--migrate-down=1")
    assert done.returncode == 1 and "worker workers-lives on host-a (process 77) is running" in done.stderr, done.stderr
    assert "ended" not in done.stderr and "--force" in done.stderr and "stop them" in done.stderr
    assert schema(server, name) == before and applied(server, name) == NAMES and installed(server, name) == [CODE]
    done = run(url, "--migrate-down=1", "--force")
    assert done.returncode == 0, done.stderr
    assert applied(server, name) == NAMES[:-1]
    # Where some tables are gone already there is nobody to ask for.
    done = run(url, f"--migrate-down={len(NAMES)}", "--force")
    assert done.returncode == 0 and applied(server, name) == []
    assert run(url, "--migrate-down=1").returncode == 0


def test_down_names_the_programs_that_run(server, database):
    url, name = database
    assert run(url, "--migrate-only").returncode == 0
    server.make_tls()
    fleet_url = server.url
    server.url = lambda role: f"postgresql://{role}@/{name}?host={server.socket_dir}"
    try:
        process = server.start_apiserver()
        with server.admin(name) as c:
            def is_booked():
                c.execute("SELECT count(*) FROM apiservers")
                return c.fetchone()[0] == 1
            wait_for(is_booked, 10, "the apiserver's row")
        done = run(url, "--migrate-down=1")
        assert done.returncode == 1 and "apiserver " in done.stderr and "is running" in done.stderr, done
        assert server.api.get("/ready")[0] == 200
        assert process.stop() == 0
    finally:
        server.url = fleet_url


@pytest.mark.parametrize("arguments", [("--force",), ("--migrate-only", "--force"), ("--migrate-only=1",), ("--force", "--migrate-down=1"),
                                       ("--migrate-down=1", "--force", "--force"), ("--migrate-only", "--migrate-down=1")])
def test_options_that_do_not_belong_there_are_refused(server, database, arguments):
    done = run(database[0], *arguments)
    assert done.returncode != 0 and done.stderr and objects(server, database[1]) == []


@pytest.fixture
def late_role(server):
    """The roles of the programs are there in every cluster; here one of them is made late."""
    role = "certctl_scheduler"
    with server.admin("postgres") as c:
        c.execute(f"ALTER ROLE {role} RENAME TO {role}_away")
    yield role
    with server.admin("postgres") as c:
        c.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
        assert c.fetchone() is None
        c.execute(f"ALTER ROLE {role}_away RENAME TO {role}")


def test_a_role_that_is_made_later_gets_its_rights(server, database, late_role):
    url, name = database

    def as_role(sql):
        connection = server.connect(late_role, database=name)
        try:
            with connection.cursor() as c:
                c.execute(f"SET search_path = {CODE}, public; {sql}")
        finally:
            connection.close()

    assert run(url, "--migrate-only").returncode == 0
    try:
        with server.admin(name) as c:
            c.execute(f"CREATE ROLE {late_role} LOGIN")
        for sql in ("SELECT leadership_is(1, 'x')", "SELECT count(*) FROM duties"):
            with pytest.raises(psycopg2.Error):
                as_role(sql)
        done = run(url, "--migrate-only")
        assert done.returncode == 0 and "are applied" in done.stdout and f"{CODE} are installed" in done.stdout, done
        for sql in ("SELECT leadership_is(1, 'x')", "SELECT count(*) FROM duties", "SELECT policy_sweep()"):
            as_role(sql)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            as_role("SELECT count(*) FROM ca_keys")
    finally:
        with server.admin(name) as c:
            c.execute(f"DROP OWNED BY {late_role}")
        with server.admin("postgres") as c:
            c.execute(f"DROP ROLE {late_role}")


@pytest.mark.parametrize("option", ["--migrate-down=0", "--migrate-down=x", "--migrate-down", "--migrate-down=-1"])
def test_odd_numbers_are_refused(database, option):
    done = run(database[0], option)
    assert done.returncode != 0 and done.stderr


def test_no_database_and_no_directory(server, database, tmp_path):
    done = run("postgresql://postgres@/certctl?host=/no/such/dir", "--migrate-only")
    assert done.returncode == 1 and done.stderr
    done = run(database[0], "--migrate-only", directory=tmp_path / "none")
    assert done.returncode == 1 and "none" in done.stderr


@pytest.mark.parametrize("what", ["nothing is there", "a migration is missing", "the functions are another version's"])
def test_programs_refuse_an_old_schema(server, database, what):
    """And say what to do."""
    url, name = database
    if what != "nothing is there":
        assert run(url, "--migrate-only").returncode == 0
    if what == "a migration is missing":
        assert run(url, "--migrate-down=1").returncode == 0
    elif what != "nothing is there":
        with server.admin(name) as c:
            c.execute(f"ALTER SCHEMA {CODE} RENAME TO {OTHER}")
    server.make_tls()
    env = clean_env() | {
        "CERTCTL_DATABASE_URL": url, "CERTCTL_SERVER_PORT": str(free_port()), "CERTCTL_AGENT_BOOTSTRAP_TOKEN": BOOTSTRAP,
        "CERTCTL_BUS_URLS": f"ipc://{server.dir}/bus/none", "CERTCTL_BUS_LISTEN_URL": f"ipc://{server.dir}/bus/none",
        "CERTCTL_CA_ENCRYPTION_KEY": "0123456789abcdef" * 2, "CERTCTL_ISSUANCE_JOURNAL_DIR": str(server.dir / "journal"),
        "CERTCTL_SERVER_TLS_CERT_PATH": str(server.dir / "tls" / "api.pem"),
        "CERTCTL_SERVER_TLS_KEY_PATH": str(server.dir / "tls" / "api.key"),
        "CERTCTL_API_KEYS_NAMED": f"admin:{API_KEY}:admin"}
    for program in ("apiserver", "scheduler", "worker"):
        done = subprocess.run([BUILD / program / f"certctl-{program}"], env=env, text=True, capture_output=True, timeout=45,
                              cwd="/", check=False)
        assert done.returncode != 0 and "--migrate-only" in done.stderr, (program, done)
        assert ("CODE-MISSING" in done.stderr and CODE in done.stderr) == (what == "the functions are another version's")


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


# --- functions ---

def definitions():
    """(kind, name) of all that the functions' text makes."""
    return re.findall(r"^CREATE (?:OR REPLACE )?(FUNCTION|TRIGGER|VIEW|PROCEDURE) (\w+)", code_text(), re.M)


def test_each_function_stands_once():
    made = definitions()
    assert len(made) > 100 and sorted(set(made)) == sorted(made)
    tables = list((ROOT / "migrations").glob("*.sql"))
    assert len(tables) >= 8
    for path in tables:
        assert not re.search(r"\b(FUNCTION|TRIGGER|VIEW|PROCEDURE)\b", re.sub(r"--.*", "", path.read_text())), path
    # More nouns make more lines; they do not make longer ones of what is there.
    lines = sum(len(p.read_text().splitlines()) for p in (ROOT / "migrations").rglob("*.sql"))
    things = len(made) + sum(len(re.findall(r"^CREATE (?:UNLOGGED )?TABLE", p.read_text(), re.M)) for p in tables)
    assert lines < 18 * things


def test_functions_with_more_than_one_statement_find_their_own_version(server, database):
    """Whatever session a trigger runs in, and whoever calls: no plan is made twice for two paths, no name is found elsewhere."""
    url, name = database
    assert run(url, "--migrate-only").returncode == 0
    with server.admin(name) as c:
        c.execute("SELECT p.proname FROM pg_proc p WHERE p.pronamespace = %s::regnamespace AND (p.prosecdef OR p.prorettype = "
                  "'trigger'::regtype) AND NOT coalesce(p.proconfig @> ARRAY[%s], false)", (CODE, f"search_path={CODE}, public, pg_temp"))
        assert c.fetchall() == []
        c.execute("SELECT count(*) FROM pg_proc p WHERE p.pronamespace = %s::regnamespace", (CODE,))
        assert c.fetchone()[0] == sum(kind == "FUNCTION" for kind, _ in definitions())


def statement(name):
    """The text of one of common/sql/migrate.sql."""
    text = (ROOT / "common" / "sql" / "migrate.sql").read_text()
    return re.search(rf"^-- name: {name} :\w+$(.*?);\n(?:\n|\Z)", text, re.M | re.S).group(1)


@contextlib.contextmanager
def installing(server, name, schema_name):
    """A cursor in the transaction that installs a version, without its text yet."""
    connection = server.connect(database=name)
    try:
        with connection, connection.cursor() as c:
            c.execute(statement("migrate_code_enter").replace("$1", "%(n)s"), {"n": schema_name})
            c.execute(statement("migrate_code_make"))
            yield c
            c.execute(statement("migrate_code_prove"))
            c.execute(statement("migrate_code_take_over"))
            c.execute(statement("migrate_code_book").replace("$1", "%s"), (schema_name,))
    finally:
        connection.close()


def install_other(server, name, schema_name=OTHER, change=lambda text: text):
    """Another version than the program's, as its own --migrate-only would."""
    text = code_text()
    with installing(server, name, schema_name) as c:
        c.execute(change(text))


def leads_to(server, name):
    """The schemas whose functions triggers and defaults call."""
    with server.admin(name) as c:
        c.execute("SELECT DISTINCT n.nspname FROM pg_depend d JOIN pg_proc p ON p.oid = d.refobjid AND d.refclassid = 'pg_proc'::regclass "
                  "JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname ~ '^certctl_' AND d.classid <> ALL ('{pg_proc,pg_rewrite}'::regclass[])")
        return [r[0] for r in c.fetchall()]


def installed(server, name):
    with server.admin(name) as c:
        c.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^certctl_' ORDER BY 1")
        there = [r[0] for r in c.fetchall()]
        c.execute("SELECT name FROM code_schemas ORDER BY 1")
        assert [r[0] for r in c.fetchall()] == there
        return there


def age(server, name, schema_name, days):
    with server.admin(name) as c:
        c.execute("UPDATE code_schemas SET installed_at = now() - make_interval(days => %s) WHERE name = %s", (days, schema_name))


def test_files_of_another_version_are_refused(server, database, tmp_path):
    shutil.copytree(ROOT / "migrations", tmp_path, dirs_exist_ok=True)
    with open(tmp_path / "code" / "01_base.sql", "a", encoding="ascii") as f:
        f.write("-- one more line\n")
    done = run(database[0], "--migrate-only", directory=tmp_path)
    assert done.returncode == 1 and f"needs {CODE}" in done.stderr
    assert installed(server, database[1]) == []
    shutil.rmtree(tmp_path / "code")
    done = run(database[0], "--migrate-only", directory=tmp_path)
    assert done.returncode == 1 and "no functions" in done.stderr


def test_two_versions_side_by_side(server, database):
    url, name = database
    assert run(url, "--migrate-only").returncode == 0
    install_other(server, name, change=lambda text: text.replace("CREATE FUNCTION job_say(", "CREATE FUNCTION code_is_new() RETURNS int "
                  "LANGUAGE sql AS 'SELECT 1';\nCREATE FUNCTION job_say("))
    assert leads_to(server, name) == [OTHER] and installed(server, name) == [OTHER, CODE]
    for path, has_it in ((CODE, False), (OTHER, True)):
        connection = psycopg2.connect(host=str(server.socket_dir), user="postgres", dbname=name,
                                      options=f"-c search_path={path},public,pg_temp")
        with connection, connection.cursor() as c:
            # the trigger and the default of the newer version work in either session, and each process tells its version
            c.execute("INSERT INTO issuers (id, name, type) VALUES (%s, %s, 'GenericCA')", (path, path))
            c.execute("SELECT count(*) FROM lanes WHERE issuer_id = %s", (path,))
            assert c.fetchone() == (1,)
            c.execute("INSERT INTO audit_events (actor, actor_type, action, resource_type, resource_id) VALUES ('a', 'System', 'b', 'c', 'd') "
                      "RETURNING id LIKE 'audit-%%', epoch")
            assert c.fetchone() == (True, 1)
            c.execute("SELECT worker_renew(%s, 'w', 'h', 1, 'v', 1, 1700)", (path,))
            c.execute("SELECT code FROM workers WHERE incarnation = %s", (path,))
            assert c.fetchone() == (path,)
            c.execute("SELECT to_regproc('code_is_new') IS NOT NULL")
            assert c.fetchone() == (has_it,)
        connection.close()
    # back to the older program: its functions are there still, the newer triggers stay
    done = run(url, "--migrate-only")
    assert done.returncode == 0 and f"{CODE} are installed" in done.stdout
    assert leads_to(server, name) == [OTHER]
    assert run(url, "--migrate-down=1", "--force").returncode == 0
    with server.admin(name) as c:
        c.execute("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^certctl_'")
        assert c.fetchone() == (0,)


def test_a_version_goes_when_nobody_uses_it(server, database):
    url, name = database
    install = lambda *more, **env: run(url, "--migrate-only", *more, **env)
    assert install().returncode == 0
    with server.admin(name) as c:
        c.execute(f"ALTER SCHEMA {CODE} RENAME TO {OTHER}")
        c.execute("UPDATE code_schemas SET name = %s", (OTHER,))
        # a trigger that the newer version does not have
        c.execute(f"CREATE TRIGGER of_old AFTER INSERT ON teams FOR EACH STATEMENT EXECUTE FUNCTION {OTHER}.lanes_for_issuer()")
    assert install().returncode == 0
    assert installed(server, name) == [OTHER, CODE] and leads_to(server, name) == [CODE]
    age(server, name, OTHER, 6)
    assert install().returncode == 0 and installed(server, name) == [OTHER, CODE]
    age(server, name, OTHER, 8)
    for table, row in (("workers", "slots, lease_until) VALUES ('i', 'n', 'h', 1, %s, 1, now() - interval '1 s')"),
                       ("schedulers", "url, seen_at) VALUES ('i', 'n', 'h', 1, %s, '', now() - interval '1 s')"),
                       ("apiservers", "url, seen_at) VALUES ('i', 'n', 'h', 1, %s, '', now() - interval '1 s')")):
        with server.admin(name) as c:
            c.execute(f"INSERT INTO {table} (incarnation, name, host, pid, code, {row}", (OTHER,))
            c.execute("UPDATE code_schemas SET last_used_at = NULL")
        for grace in ("168h", "0s"):
            assert install(CERTCTL_DATABASE_CODE_GRACE=grace).returncode == 0 and installed(server, name) == [OTHER, CODE], table
        with server.admin(name) as c:
            c.execute(f"DELETE FROM {table}")
            # what used it is remembered
            c.execute("SELECT last_used_at > now() - interval '1 minute' FROM code_schemas WHERE name = %s", (OTHER,))
            assert c.fetchone() == (True,)
    assert install().returncode == 0 and installed(server, name) == [OTHER, CODE]
    with server.admin(name) as c:
        c.execute("UPDATE code_schemas SET last_used_at = now() - interval '8 days'")
    done = install()
    assert done.returncode == 0 and f"removed functions {OTHER}" in done.stdout
    assert installed(server, name) == [CODE]


def test_the_version_that_triggers_lead_to_stays(server, database):
    url, name = database
    assert run(url, "--migrate-only").returncode == 0
    install_other(server, name)
    age(server, name, OTHER, 400)
    assert run(url, "--migrate-only").returncode == 0
    assert installed(server, name) == [OTHER, CODE] and leads_to(server, name) == [OTHER]


def test_a_function_that_names_what_is_not_there_is_refused(server, database):
    url, name = database
    assert run(url, "--migrate-only").returncode == 0
    with pytest.raises(psycopg2.Error, match="half_done.*no_such_table"), installing(server, name, OTHER) as c:
        c.execute("CREATE FUNCTION half_done() RETURNS int LANGUAGE sql AS 'SELECT x FROM no_such_table'")
    assert installed(server, name) == [CODE]


def test_installing_waits_for_a_table_and_holds_up_nobody(server, database):
    """A transaction that goes on keeps the triggers' tables; others must not queue behind the installation meanwhile."""
    url, name = database
    assert run(url, "--migrate-only").returncode == 0
    with server.admin(name) as c:
        c.execute(f"DROP SCHEMA {CODE} CASCADE")
    holder = server.connect(database=name)
    with holder.cursor() as c:
        c.execute("INSERT INTO tenants (id, name) VALUES ('t', 't')")
        c.execute("LOCK TABLE jobs IN ROW EXCLUSIVE MODE")
    results = []
    thread = threading.Thread(target=lambda: results.append(run(url, "--migrate-only")))
    thread.start()
    other = server.connect(database=name)
    other.autocommit = True
    with other.cursor() as c:
        c.execute("SET statement_timeout = '500ms'")
        for _ in range(10):
            c.execute("DELETE FROM agents")
            c.execute("DELETE FROM jobs")
    assert thread.is_alive()
    holder.commit()
    thread.join(30)
    assert results and results[0].returncode == 0, results
    assert leads_to(server, name) == [CODE]
    holder.close()
    other.close()


def without_comments(path):
    return re.sub(r"--.*", "", path.read_text())


def calls_of(text):
    return set(re.findall(r"\b(\w+)\s*\(", text))


def test_every_function_has_a_caller():
    """A statement of a program, a trigger, a default, or a function that has one: who may call a function is no caller, nor is
    a function that nobody calls, nor a function itself."""
    statements = sorted((ROOT / "common" / "sql").glob("*.sql"))
    roots, bodies = calls_of("\n".join(without_comments(p) for p in statements)), {}
    for piece in re.split(r"^(?=CREATE |ALTER |SELECT |DO |SET |LOCK )", re.sub(r"--.*", "", code_text()), flags=re.M):
        made = re.match(r"CREATE FUNCTION (\w+)", piece)
        if made:
            bodies[made.group(1)] = calls_of(piece[made.end():])
        else:
            roots |= calls_of(piece)
    assert sorted(bodies) == sorted(name for kind, name in definitions() if kind == "FUNCTION")
    alive, new = set(), roots & set(bodies)
    while new:
        alive |= new
        new = {c for name in new for c in bodies[name]} & set(bodies) - alive
    # A constant may be a program's alone; test_policy.py looks whether each has a user.
    assert {name for name in set(bodies) - alive if not name.startswith("policy_")} == set()
    # and every statement is named by a program
    programs = "\n".join(p.read_text() for d in ("common", "apiserver", "scheduler", "worker", "cli") for e in ("c", "h", "def")
                         for p in (ROOT / d).rglob(f"*.{e}"))
    names = [m for p in statements for m in re.findall(r"^-- name: (\w+)", p.read_text(), re.M)]
    called = set(re.findall(r"\bQ_(\w+)", programs)) | {f"{noun}_{verb}" for noun in re.findall(r"\bRESOURCE_STATEMENTS\((\w+)\)", programs)
                                                      for verb in re.findall(r"\bQ_##NOUN##_(\w+)", programs)}
    assert set(map(str.upper, names)) - called == set()
