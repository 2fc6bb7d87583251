"""The API's certificate, from a CA of its own, and nginx's first placeholder."""
import subprocess
import tempfile
from pathlib import Path

from .layout import clean_environment
from .ui import StepFailed


def _openssl(log, *args):
    r = subprocess.run(["openssl", *map(str, args)], stdout=log.file, stderr=log.file,
                       env=clean_environment(), check=False)
    if r.returncode != 0:
        raise StepFailed(f"openssl {args[0]} failed", "see the log")


def _still_good(path, log):
    return path.exists() and subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-checkend", str(7 * 86400)],
        stdout=log.file, stderr=log.file, env=clean_environment(), check=False).returncode == 0


def ensure_api(layout, log):
    """A ten-year CA once; a server certificate again when a week is left."""
    ca_key, ca = layout.secrets / "api-ca.key", layout.tls / "api-ca.pem"
    key, cert = layout.tls / "api.key", layout.tls / "api.pem"
    # openssl writes where nobody else may, and what it made is moved from there.
    with tempfile.TemporaryDirectory(dir=layout.secrets) as name:
        made = Path(name)
        if not ca.exists():
            _openssl(log, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 3650,
                     "-subj", "/CN=certctl local API CA", "-addext", "basicConstraints=critical,CA:TRUE",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", made / "ca.key", "-out", made / "ca.pem")
            layout.write(ca_key, (made / "ca.key").read_bytes(), mode=0o600)
            layout.write(ca, (made / "ca.pem").read_bytes())
        if not _still_good(cert, log):
            _openssl(log, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-subj", "/CN=localhost", "-keyout", made / "api.key", "-out", made / "api.csr")
            (made / "api.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n"
                                          "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n")
            _openssl(log, "x509", "-req", "-in", made / "api.csr", "-CA", ca, "-CAkey", ca_key, "-CAserial", made / "serial",
                     "-CAcreateserial", "-days", 397, "-extfile", made / "api.ext", "-out", made / "api.pem")
            layout.write(key, (made / "api.key").read_bytes(), layout.user, 0o600)
            layout.write(cert, (made / "api.pem").read_bytes())


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
