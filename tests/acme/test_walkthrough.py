"""
The walk-throughs of docs/reference/acme-server.md, as they stand there.
"""
import re
import subprocess

import pytest
from acme_clients import Uacme, Webroot
from acme_stack import AcmeStack
from fleet import ROOT, clean_env

PAGE = (ROOT / "docs/reference/acme-server.md").read_text()
WALKS = {name: re.search(rf"^### {name}\n.*?^```sh\n(.*?)^```", PAGE, re.M | re.S)[1] for name in ("lego", "certbot", "uacme", "dehydrated")}

BOUND = re.search(r"^### External account binding\n.*?^```sh\n(.*?)^```", PAGE, re.M | re.S)[1]


@pytest.fixture(scope="module")
def stack():
    with AcmeStack() as stack:
        yield stack


def walk(server, directory, lines, **more):
    env = clean_env() | {"HOME": str(directory), "DIRECTORY": server.directory, "CA": server.ca, "PORT": str(server.http_port)} | more
    (directory / "webroot").mkdir(parents=True)
    if "uacme" in lines:
        env |= Uacme(server, directory).trusting()

    def run():
        done = subprocess.run(["sh", "-c", f"set -ex\n{lines}"], cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120, check=False)
        assert done.returncode == 0, done.stdout

    if "webroot" in lines:
        with Webroot(server.http_port, directory / "webroot"):
            run()
    else:
        run()


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_through_does_what_it_says(stack, name):
    walk(stack.server(), stack.fleet.dir / name, WALKS[name])
    assert stack.fleet.value("SELECT count(*) FROM certificate_revocations r JOIN managed_certificates c ON c.id = r.certificate_id "
                             "WHERE c.common_name = %s", f"{name}.example.test") == 1


def test_registering_by_an_external_account(stack):
    """One line a client, one key for all of them."""
    kid, hmac = stack.eab_key(reusable=True)
    walk(stack.server("prof-bound"), stack.fleet.dir / "bound", BOUND, KID=kid, HMAC=hmac)
    assert stack.fleet.value("SELECT uses FROM acme_eab_keys WHERE key_id = %s", kid) == 4
    assert stack.fleet.value("SELECT count(*) FROM acme_accounts WHERE eab_key_id = %s", kid) == 4
