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


@pytest.fixture(scope="module")
def stack():
    with AcmeStack() as stack:
        yield stack


@pytest.mark.parametrize("name", WALKS)
def test_a_walk_through_does_what_it_says(stack, name):
    server, directory = stack.server(), stack.fleet.dir / name
    (directory / "webroot").mkdir(parents=True)
    env = clean_env() | {"HOME": str(directory), "DIRECTORY": server.directory, "CA": server.ca, "PORT": str(server.http_port)}
    if name == "uacme":
        env |= Uacme(server, directory).trusting()
    script = f"set -ex\n{WALKS[name]}"

    def walk():
        done = subprocess.run(["sh", "-c", script], cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120, check=False)
        assert done.returncode == 0, done.stdout

    if "webroot" in WALKS[name]:
        with Webroot(server.http_port, directory / "webroot"):
            walk()
    else:
        walk()
    assert stack.fleet.value("SELECT count(*) FROM certificate_revocations r JOIN managed_certificates c ON c.id = r.certificate_id "
                             "WHERE c.common_name = %s", f"{name}.example.test") == 1
