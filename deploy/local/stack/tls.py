"""The API's certificate, from a CA of its own, and nginx's first placeholder."""
import subprocess
import tempfile
from pathlib import Path

from .layout import CHECKOUT, clean_environment
from .ui import StepFailed


def _openssl(log, *args):
    r = subprocess.run(["openssl", *map(str, args)], stdout=log.file, stderr=log.file,
                       env=clean_environment(), check=False)
    if r.returncode != 0:
        raise StepFailed(f"openssl {args[0]} failed", "see the log")


def _still_good(path, log):
    return path.exists() and subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-checkend", str(86400)],
        stdout=log.file, stderr=log.file, env=clean_environment(), check=False).returncode == 0


def _make_ca(layout, log, made):
    _openssl(log, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 3650,
             "-subj", "/CN=certctl local API CA", "-addext", "basicConstraints=critical,CA:TRUE",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", made / "ca.key", "-out", made / "ca.pem")
    layout.write(layout.secrets / "api-ca.key", (made / "ca.key").read_bytes(), mode=0o600)
    layout.write(layout.tls / "api-ca.pem", (made / "ca.pem").read_bytes())


# As their user: a pair of which the agent makes the next.
FIRST = """umask 077
mkdir -p "$1/v/first"
cat >"$1/v/first/both.pem"
openssl pkey -in "$1/v/first/both.pem" -out "$1/v/first/privkey.pem"
sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' "$1/v/first/both.pem" >"$1/v/first/fullchain.pem"
rm "$1/v/first/both.pem"
ln -sfn v/first "$1/current"
"""


def ensure_api(layout, log):
    """
    A ten-year CA once, and a server certificate to begin with, for a week: the
    product renews it.  Made anew where what is served is about to end all the same.
    """
    ca_key, ca = layout.secrets / "api-ca.key", layout.tls / "api-ca.pem"
    # openssl writes where nobody else may, and what it made is moved from there.
    with tempfile.TemporaryDirectory(dir=layout.secrets) as name:
        made = Path(name)
        if not ca.exists():
            _make_ca(layout, log, made)
        for path in (ca, ca_key):
            # Workers load a CA anew whose files were written.
            if layout.read_as(layout.user, layout.api_ca / path.name) != path.read_text():
                layout.write_as(layout.user, layout.api_ca / path.name, path.read_text())
        served = made / "served.pem"
        served.write_text(layout.read_as(layout.user, layout.api_site / "current" / "fullchain.pem"))
        if not _still_good(served, log):
            _openssl(log, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-subj", "/CN=localhost", "-keyout", made / "api.key", "-out", made / "api.csr")
            (made / "api.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n"
                                          "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n")
            _openssl(log, "x509", "-req", "-in", made / "api.csr", "-CA", ca, "-CAkey", ca_key, "-CAserial", made / "serial",
                     "-CAcreateserial", "-days", 7, "-extfile", made / "api.ext", "-out", made / "api.pem")
            layout.run_as(layout.user, FIRST, layout.api_site, (made / "api.key").read_text() + (made / "api.pem").read_text())


def ensure_issuer_secrets(layout, log):
    """The key pair that secrets of issuers are sealed to: made once, for without its key nothing opens them."""
    if layout.read_as(layout.user, layout.issuer_secrets / "issuer-secrets.key"):
        return
    with tempfile.TemporaryDirectory(dir=layout.secrets) as name:
        r = subprocess.run([CHECKOUT / "deploy" / "issuer-secrets.sh", name], stdout=log.file, stderr=log.file, env=clean_environment(), check=False)
        if r.returncode != 0:
            raise StepFailed("deploy/issuer-secrets.sh failed", "see the log")
        for file in ("issuer-secrets.pem", "issuer-secrets.key"):
            layout.write_as(layout.user, layout.issuer_secrets / file, (Path(name) / file).read_text())


PLACEHOLDER = """umask 077
[ ! -L "$1/current" ] || exit 0
mkdir -p "$1/v/placeholder"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=placeholder \\
    -keyout "$1/v/placeholder/privkey.pem" -out "$1/v/placeholder/fullchain.pem"
chmod 644 "$1/v/placeholder/fullchain.pem"
ln -s v/placeholder "$1/current"
"""


def ensure_placeholder(layout, log):
    """nginx needs some pair to start with; the agent replaces it.  Made as their user, whose directory it is."""
    r = subprocess.run([*layout.as_user(layout.user), "sh", "-ec", PLACEHOLDER, "sh", layout.nginx / "site"],
                       stdout=log.file, stderr=log.file, env=clean_environment(), cwd="/", check=False)
    if r.returncode != 0:
        raise StepFailed("no placeholder certificate could be made", "see the log")
