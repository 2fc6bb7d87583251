"""
Another passphrase for the keys of external accounts, as docs/operator/acme.md has it: at
no step is a client refused, and who dies in the middle has lost nothing.
"""
import secrets
import subprocess

import pytest

from acme import Client, binding, seal, serve, unb64, unseal
from fleet import BUILD, CONFIG_KEY, wait_for

KEYS = "/api/v1/acme/eab-keys"
WAS, WILL = CONFIG_KEY, CONFIG_KEY.upper()
MANY = 250  # three calls of a hundred


@pytest.fixture(scope="module")
def plane(stack):
    stack.make_basics()
    serve(stack, "p-bound", acme_eab_required=True)
    stack.keys = plant(stack, MANY)
    return stack


def plant(plane, n):
    """Keys as the API makes them; by id."""
    made = {f"eab-{i:03}": secrets.token_bytes(64) for i in range(n)}
    for ident, mac in made.items():
        plane.query("INSERT INTO acme_eab_keys (key_id, profile_id, hmac_sealed, created_by) VALUES (%s, 'p-bound', %s, 'admin')",
                    ident, seal(WAS, f"acme_eab_keys:{ident}", mac))
    return made


def serves(plane, i, is_now, also=""):
    name = f"apiserver-{i}"
    if name in plane.processes:
        plane.processes[name].stop()
    plane.start_apiserver(i, keep=True, CERTCTL_ACME_SERVER_ENABLED="true", CERTCTL_CONFIG_ENCRYPTION_KEY=is_now,
                          CERTCTL_CONFIG_ENCRYPTION_KEY_ALSO=also)


def admits(plane, i, ident):
    """A client registers by a key that nobody has used yet."""
    client = Client(plane.apis[f"apiserver-{i}"], "/acme/profile/p-bound")
    made = client.register(externalAccountBinding=binding(ident, plane.keys.pop(ident), client.key, client.url("new-account")))
    client.close()
    assert made[0] == 201, made


def make(plane, i):
    made = plane.apis[f"apiserver-{i}"].need("POST", KEYS, {"profile_id": "p-bound"})
    plane.keys[made["id"]] = unb64(made["hmac_key"])
    return made["id"]


def address(plane, i=2):
    return {"CERTCTL_SERVER_URL": f"https://127.0.0.1:{plane.apis[f'apiserver-{i}'].port}"}


def reseal(plane, i=2):
    done = plane.cli("eab-keys", "reseal", **address(plane, i))
    return done.returncode, done.stdout, done.stderr


def under(plane, passphrase):
    """The keys that lie under it, as they were made."""
    opened = {ident: unseal(passphrase, f"acme_eab_keys:{ident}", bytes(blob))
              for ident, blob in plane.query("SELECT key_id, hmac_sealed FROM acme_eab_keys WHERE hmac_sealed <> ''")}
    assert all(mac in (None, plane.keys[ident]) for ident, mac in opened.items())
    return {ident for ident, mac in opened.items() if mac}


def test_the_passphrase_is_changed_and_nobody_is_refused(plane):
    for i in (2, 3):
        serves(plane, i, WAS)
    for i in (2, 3):  # one after another
        serves(plane, i, WAS, also=WILL)
        admits(plane, 2, f"eab-00{i}")
        admits(plane, 3, make(plane, i))
    for i in (2, 3):
        serves(plane, i, WILL, also=WAS)
        admits(plane, 2, f"eab-10{i}")
        admits(plane, 2, make(plane, 3))
        admits(plane, 3, make(plane, 2))
        admits(plane, 3, f"eab-11{i}")
    die_in_the_middle(plane)
    old, new = under(plane, WAS), under(plane, WILL)
    assert len(new) == 100 and len(old) > 100 and old | new == set(plane.keys)
    for ident in ("eab-010", "eab-120", "eab-240"):
        admits(plane, 3, ident)
    serves(plane, 2, WILL, also=WAS)
    left = len(under(plane, WAS))
    assert reseal(plane) == (0, f"{left} sealed anew, 0 that do not open\n", "") and left > 100
    assert under(plane, WILL) == set(plane.keys) and not under(plane, WAS)
    assert reseal(plane, 3) == (0, "0 sealed anew, 0 that do not open\n", "")
    told = plane.query("SELECT actor, (details ->> 'keys')::int FROM audit_events WHERE action = 'acme_eab_keys_resealed' ORDER BY timestamp")
    assert {a for a, _ in told} == {"admin"} and sum(n for _, n in told) == left + 100
    for i in (2, 3):
        serves(plane, i, WILL)
        admits(plane, i, f"eab-20{i}")
        assert reseal(plane, i)[:2] == (0, "0 sealed anew, 0 that do not open\n")


def die_in_the_middle(plane):
    """A row of the second hundred is held: the first is written, and then nobody lives to write the next."""
    with plane.connect() as holder, holder.cursor() as cursor:
        ids = [i for i, in plane.query("SELECT key_id FROM acme_eab_keys WHERE hmac_sealed <> '' ORDER BY key_id")]
        cursor.execute("SELECT FROM acme_eab_keys WHERE key_id = %s FOR UPDATE", (ids[150],))
        with subprocess.Popen([BUILD / "cli" / "certctl", "eab-keys", "reseal"], env=plane.cli_env() | address(plane),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
            waits = wait_for(lambda: plane.value("SELECT max(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%acme_eab_keys%%'"),
                             20, "the second hundred")
            plane.processes["apiserver-2"].signal(9)
            command.kill()
        plane.query("SELECT pg_terminate_backend(%s, 20000)", waits)  # which would go on by itself
        holder.rollback()


def test_what_opens_under_none_is_told(plane):
    plane.query("UPDATE acme_eab_keys SET hmac_sealed = set_byte(hmac_sealed, 60, 255 - get_byte(hmac_sealed, 60)) WHERE key_id = 'eab-030'")
    code, said, why = reseal(plane)
    assert (code, said) == (1, "0 sealed anew, 1 that does not open\n") and "eab-030 opens under no passphrase" in why


def test_where_there_is_none_nothing_is_sealed(plane):
    plane.start_apiserver(4, CERTCTL_CONFIG_ENCRYPTION_KEY="")
    status, reply = plane.apis["apiserver-4"].post(f"{KEYS}/reseal")
    assert status == 503 and "CERTCTL_CONFIG_ENCRYPTION_KEY of the server is not set" in reply["message"]
    plane.start_apiserver(5, CERTCTL_CONFIG_ENCRYPTION_KEY="a" * 40, CERTCTL_CONFIG_ENCRYPTION_KEY_ALSO=WILL)
    status, reply = plane.apis["apiserver-5"].post(f"{KEYS}/reseal")
    assert status == 503 and "is too easy to guess" in reply["message"]
