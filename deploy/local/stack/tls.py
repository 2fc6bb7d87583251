"""The API's certificate, from a CA of its own, and nginx's first placeholder."""
import os
import subprocess

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
    ca_key, ca = layout.base / "secrets" / "api-ca.key", layout.tls / "api-ca.pem"
    key, cert = layout.tls / "api.key", layout.tls / "api.pem"
    layout.secret("api_key")
    old = os.umask(0o077)
    try:
        if not ca.exists():
            _openssl(log, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 3650,
                     "-subj", "/CN=certctl local API CA", "-addext", "basicConstraints=critical,CA:TRUE",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", ca_key, "-out", ca)
        if not _still_good(cert, log):
            request, extensions = layout.tls / "api.csr", layout.tls / "api.ext"
            _openssl(log, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-subj", "/CN=localhost", "-keyout", key, "-out", request)
            extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n"
                                  "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n")
            _openssl(log, "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial",
                     "-days", 397, "-extfile", extensions, "-out", cert)
            request.unlink()
            extensions.unlink()
    finally:
        os.umask(old)
    layout.own(ca, layout.user, 0o644)
    layout.own(cert, layout.user, 0o644)
    layout.own(key, layout.user, 0o600)


def ensure_placeholder(layout, log):
    """nginx needs some pair to start with; the agent replaces it."""
    site = layout.nginx / "site"
    if (site / "current").is_symlink():
        return
    version = site / "v" / "placeholder"
    for path in (site, site / "v", version):
        layout.directory(path, layout.user, 0o700)
    _openssl(log, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 1,
             "-subj", "/CN=placeholder", "-keyout", version / "privkey.pem", "-out", version / "fullchain.pem")
    layout.own(version / "privkey.pem", layout.user, 0o600)
    layout.own(version / "fullchain.pem", layout.user, 0o644)
    os.symlink("v/placeholder", site / "current")
    if layout.as_root:
        os.lchown(site / "current", layout.user.pw_uid, layout.user.pw_gid)
