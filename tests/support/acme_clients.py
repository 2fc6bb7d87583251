"""
ACME clients of Debian, each as its user runs it: what it can do, and how.

A client works in a directory of its own against one server (Server below).  Its
methods return the text that it printed, and raise where it failed.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from cryptography import x509
from fleet import clean_env, wait_for


class Server:
    """Where a directory is, what it is verified with, and where it looks for answers to its challenges."""

    def __init__(self, directory, ca, http_port, tls_port, dns_port, dns_api):
        self.directory, self.ca = directory, str(ca)
        self.http_port, self.tls_port, self.dns_port, self.dns_api = http_port, tls_port, dns_port, dns_api

    def txt(self, action, **body):
        """Sets or clears a record of the name server."""
        request = urllib.request.Request(f"{self.dns_api}/{action}", json.dumps(body).encode())
        urllib.request.urlopen(request, timeout=10).read()


class ClientFailed(AssertionError):
    pass


class Client:
    challenges = ()  # that it knows
    can = ()  # of: bind, renew, revoke, revoke_by_key, key_change, deactivate, update
    eab = None  # id and HMAC key of an external account, by which to register
    renews_by_itself = False  # so only certificates of a short life are renewed while somebody watches

    def __init__(self, server, directory):
        self.server, self.dir = server, Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)

    def run(self, *argv, timeout=90, ok=(0,), **env):
        done = subprocess.run([str(a) for a in argv], env=clean_env() | {"HOME": str(self.dir)} | env, cwd=self.dir, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode not in ok:
            raise ClientFailed(f"{' '.join(str(a) for a in argv)}: {done.returncode}\n{done.stdout[-4000:]}")
        return done.stdout

    def script(self, name, text):
        path = self.dir / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def dns_hook(self, name, cases):
        """A script that sets and clears TXT records: cases is the body of a shell that calls `txt ACTION NAME [VALUE]`."""
        return self.script(name, f"""#!/bin/sh
txt() {{
    curl -sS --noproxy '*' -d "{{\\"host\\":\\"$2.\\",\\"value\\":\\"$3\\"}}" {self.server.dns_api}/$1 >/dev/null
}}
{cases}
""")

    def close(self):
        """Ends what it left running."""

    @staticmethod
    def first(path):
        return x509.load_pem_x509_certificate(Path(path).read_bytes())


class Lego(Client):
    challenges = ("http-01", "tls-alpn-01", "dns-01")
    can = ("bind", "renew", "revoke")

    def lego(self, command, name, challenge=None, *more):
        how = {None: (), "http-01": ("--http", "--http.port", f":{self.server.http_port}"),
               "tls-alpn-01": ("--tls", "--tls.port", f":{self.server.tls_port}"),
               "dns-01": ("--dns", "exec", "--dns.resolvers", f"127.0.0.1:{self.server.dns_port}", "--dns.disable-cp")}[challenge]
        hook = self.dns_hook("dns.sh", 'case $1 in present) txt set-txt "${2%.}" "$3" ;; cleanup) txt clear-txt "${2%.}" ;; esac')
        eab = ("--eab", "--kid", self.eab[0], "--hmac", self.eab[1]) if self.eab else ()
        return self.run("lego", "--server", self.server.directory, "--email", "ops@example.test", "--accept-tos", "--path", self.dir, *eab,
                        "--domains", name, *how, command, *more, LEGO_CA_CERTIFICATES=self.server.ca, EXEC_PATH=str(hook),
                        EXEC_PROPAGATION_TIMEOUT="5", EXEC_POLLING_INTERVAL="1")

    def register(self):
        """It registers with its first certificate."""

    def issue(self, name, challenge):
        self.lego("run", name, challenge)
        return self.certificate(name)

    def certificate(self, name):
        return self.first(self.dir / "certificates" / f"{name.replace('*', '_')}.crt")

    def renew(self, name, challenge):
        self.lego("renew", name, challenge, "--days", "100000", "--no-random-sleep")
        return self.certificate(name)

    def revoke(self, name):
        self.lego("revoke", name, None, "--keep", "--reason", "4")


class Certbot(Client):
    challenges = ("http-01", "dns-01")
    can = ("bind", "renew", "revoke", "revoke_by_key", "deactivate", "update")

    def certbot(self, *argv):
        places = [f"--{kind}-dir={self.dir / kind}" for kind in ("config", "work", "logs")]
        return self.run("certbot", *argv, "--server", self.server.directory, "--non-interactive", *places,
                        REQUESTS_CA_BUNDLE=self.server.ca)

    def register(self):
        eab = ("--eab-kid", self.eab[0], "--eab-hmac-key", self.eab[1]) if self.eab else ()
        self.certbot("register", "--agree-tos", "--email", "ops@example.test", *eab)

    def how(self, challenge):
        if challenge == "http-01":
            return ("--standalone", "--preferred-challenges", "http", "--http-01-port", self.server.http_port)
        name = '"_acme-challenge.$CERTBOT_DOMAIN"'
        return ("--manual", "--preferred-challenges", "dns",
                "--manual-auth-hook", self.dns_hook("auth.sh", f'txt set-txt {name} "$CERTBOT_VALIDATION"'),
                "--manual-cleanup-hook", self.dns_hook("cleanup.sh", f"txt clear-txt {name}"))

    @staticmethod
    def line(name):
        return name.replace("*.", "star.")

    def issue(self, name, challenge):
        self.certbot("certonly", "--domain", name, "--cert-name", self.line(name), *self.how(challenge))
        return self.certificate(name)

    def certificate(self, name):
        return self.first(self.dir / "config/live" / self.line(name) / "cert.pem")

    def renew(self, name, challenge):
        self.certbot("renew", "--force-renewal", "--cert-name", self.line(name), "--no-random-sleep-on-renew")
        return self.certificate(name)

    def revoke(self, name):
        self.certbot("revoke", "--cert-name", self.line(name), "--no-delete-after-revoke", "--reason", "superseded")

    def revoke_by_key(self, name):
        live = self.dir / "config/live" / self.line(name)
        self.certbot("revoke", "--cert-path", live / "cert.pem", "--key-path", live / "privkey.pem", "--no-delete-after-revoke")

    def update(self):
        self.certbot("update_account", "--email", "others@example.test")

    def deactivate(self):
        self.certbot("unregister")


class Uacme(Client):
    challenges = ("http-01", "dns-01", "tls-alpn-01")
    can = ("bind", "renew", "revoke", "revoke_by_key", "key_change", "deactivate", "update")

    def trusting(self):
        """Debian's uacme trusts what the machine trusts, by a library that no variable tells otherwise."""
        library = self.dir / "trust.so"
        if not library.exists():
            source = Path(__file__).with_name("curl_trust.c")
            subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, env=clean_env())
        return {"LD_PRELOAD": str(library), "CURL_TRUST": self.server.ca}

    def uacme(self, *argv, challenge="none"):
        webroot = self.dir / "webroot"
        hook = self.dns_hook("hook.sh", f"""
[ "$2" = {challenge} ] || exit 1
case $1:$2 in
begin:http-01) mkdir -p {webroot} && printf %s "$5" >{webroot}/"$4" ;;
begin:dns-01) txt set-txt "_acme-challenge.$3" "$5" ;;
done:dns-01 | failed:dns-01) txt clear-txt "_acme-challenge.$3" ;;
begin:tls-alpn-01) {sys.executable} {Path(__file__).with_name("acme_alpn_cert.py")} {self.dir}/alpn "$3" "$5" ;;
esac
""")
        return self.run("uacme", "--acme-url", self.server.directory, "--confdir", self.dir / "conf", "--hook", hook, "--yes", *argv,
                        **self.trusting())

    def register(self):
        self.uacme(*(("--eab", ":".join(self.eab)) if self.eab else ()), "new", "ops@example.test")

    def issue(self, name, challenge):
        with Webroot(self.server.http_port, self.dir / "webroot"), AlpnDirectory(self.server.tls_port, self.dir / "alpn"):
            self.uacme("--force", "issue", name, challenge=challenge)
        return self.certificate(name)

    def certificate(self, name):
        return self.first(self.place(name) / "cert.pem")

    def place(self, name):
        return self.dir / "conf" / name.replace("*.", "")

    renew = issue

    def revoke(self, name):
        self.uacme("--reason", "1", "revoke", self.place(name) / "cert.pem")

    def revoke_by_key(self, name):
        self.uacme("revoke", self.place(name) / "cert.pem", self.dir / "conf/private" / name / "key.pem")

    def key_change(self):
        self.uacme("newkey")

    def update(self):
        self.uacme("update", "others@example.test")

    def deactivate(self):
        self.uacme("deactivate")


class Webroot:
    """Serves a directory as /.well-known/acme-challenge/."""

    def __init__(self, port, directory):
        directory.mkdir(exist_ok=True)
        self.argv = [sys.executable, Path(__file__).with_name("acme_webroot.py"), str(port), str(directory)]

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdout=subprocess.PIPE, env=clean_env())
        self.process.stdout.readline()  # it listens

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class Dehydrated(Client):
    challenges = ("http-01", "dns-01", "tls-alpn-01")
    can = ("bind", "renew", "revoke", "deactivate", "update")

    def dehydrated(self, *argv, challenge="http-01"):
        hook = self.dns_hook("hook.sh", """
case $1 in
deploy_challenge) [ -n "$DNS" ] && txt set-txt "_acme-challenge.${2#\\*.}" "$4" ;;
clean_challenge) [ -n "$DNS" ] && txt clear-txt "_acme-challenge.${2#\\*.}" ;;
esac
exit 0""")
        config = self.dir / "config"
        for name in ("wellknown", "alpn"):
            (self.dir / name).mkdir(exist_ok=True)
        config.write_text(f'CA="{self.server.directory}"\nBASEDIR="{self.dir}"\nWELLKNOWN="{self.dir}/wellknown"\nCONTACT_EMAIL=ops@example.test\n'
                          f'ALPNCERTDIR="{self.dir}/alpn"\nHOOK="{hook}"\nKEY_ALGO=prime256v1\n' + ("EAB_KID={}\nEAB_HMAC_KEY={}\n".format(*self.eab) if self.eab else ""))
        return self.run("dehydrated", "--config", config, *argv, CURL_CA_BUNDLE=self.server.ca, DNS="yes" if challenge == "dns-01" else "")

    def register(self):
        self.dehydrated("--register", "--accept-terms")

    @staticmethod
    def alias(name):
        return name.replace("*.", "star.")

    def issue(self, name, challenge):
        alias = ("--alias", self.alias(name)) if "*" in name else ()
        (self.dir / "wellknown").mkdir(exist_ok=True)
        with Webroot(self.server.http_port, self.dir / "wellknown"), AlpnDirectory(self.server.tls_port, self.dir / "alpn"):
            self.dehydrated("--cron", "--force", "--domain", name, *alias, "--challenge", challenge, challenge=challenge)
        return self.certificate(name)

    renew = issue

    def certificate(self, name):
        return self.first(self.dir / "certs" / self.alias(name) / "cert.pem")

    def revoke(self, name):
        self.dehydrated("--revoke", self.dir / "certs" / self.alias(name) / "cert.pem")

    def update(self):
        self.dehydrated("--account")

    def deactivate(self):
        self.dehydrated("--deactivate")


class AlpnDirectory(Webroot):
    """Answers acme-tls/1 with <name>.crt.pem and <name>.key.pem of a directory."""

    def __init__(self, port, directory):
        super().__init__(port, directory)
        self.argv[1] = Path(__file__).with_name("acme_alpn_directory.py")


def is_over(pid):
    """Ended, whether or not anybody has waited for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


class ModMd(Client):
    """Apache itself: it serves the names, answers for them and renews by itself."""

    challenges = ("http-01", "tls-alpn-01", "dns-01")
    can = ("bind", "renew")
    renews_by_itself = True
    modules = ("mpm_event", "unixd", "authz_core", "log_config", "socache_shmcb", "watchdog", "ssl", "md")

    def configure(self, name, challenge):
        hook = self.dns_hook("dns.sh", 'case $1 in setup) txt set-txt "_acme-challenge.$2" "$3" ;; teardown) txt clear-txt "_acme-challenge.$2" ;; esac')
        built_in = {"unixd", "log_config", "watchdog"}
        modules = [f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" for m in self.modules if m not in built_in]
        plain = name.replace("*.", "www.")
        user = "" if os.geteuid() else "User www-data\nGroup www-data\n"
        config = self.dir / "apache2.conf"
        config.write_text("\n".join(modules) + f"""
ServerRoot {self.dir}
PidFile {self.dir}/apache2.pid
DefaultRuntimeDir {self.dir}
ErrorLog {self.dir}/error.log
LogLevel warn md:debug
ServerName {plain}
{user}Listen {self.server.http_port}
Listen {self.server.tls_port}
Protocols http/1.1{" acme-tls/1" if challenge == "tls-alpn-01" else ""}
MDPortMap http:{self.server.http_port} https:{self.server.tls_port}
MDomain {plain} {name if name != plain else ""}
MDCertificateAuthority {self.server.directory}
MDCACertificateFile {self.server.ca}
MDCertificateAgreement accepted
MDContactEmail ops@example.test
{f"MDExternalAccountBinding {self.eab[0]} {self.eab[1]}" if self.eab else ""}
MDCAChallenges {challenge}
MDStoreDir {self.dir}/md
MDRenewWindow {self.window}
MDCheckInterval 1s
MDRetryDelay 1s
MDBaseServer off
{f"MDChallengeDns01 {hook}" if challenge == "dns-01" else ""}
<VirtualHost *:{self.server.tls_port}>
    ServerName {plain}
    {f"ServerAlias {name}" if name != plain else ""}
    SSLEngine on
</VirtualHost>
""")
        return config

    window = "33%"

    def httpd(self, config, command):
        return self.run("/usr/sbin/apache2", "-f", config, "-k", command)

    def register(self):
        """It registers with its first certificate."""

    def issue(self, name, challenge):
        self.close()
        shutil.rmtree(self.dir / "md", ignore_errors=True)
        if os.geteuid() == 0:  # its children give up their rights
            for part in (self.dir, *self.dir.parents):
                part.chmod(part.stat().st_mode | 0o755) if str(part).startswith(("/tmp/", "/dev/shm/")) else None
        self.config = self.configure(name, challenge)
        self.httpd(self.config, "start")
        return self.wait_certificate(name, None)

    def found(self, name):
        plain = name.replace("*.", "www.")
        for place in ("domains", "staging"):
            path = self.dir / "md" / place / plain / "pubcert.pem"
            if path.exists():
                return path
        return None

    def wait_certificate(self, name, other_than):
        def there():
            path = self.found(name)
            if path is None:
                return False
            return self.first(path).serial_number != other_than
        try:
            wait_for(there, 60, "mod_md's certificate", every=0.2)
        except AssertionError as why:
            raise ClientFailed(f"{why}\n{(self.dir / 'error.log').read_text()[-4000:]}") from why
        return self.first(self.found(name))

    def renew(self, name, challenge):
        """What it got is taken into use by a restart, and is due at once then."""
        before = self.first(self.found(name)).serial_number
        self.window = "99%"
        self.configure(name, challenge)
        self.httpd(self.config, "restart")
        path = self.dir / "md/staging" / name.replace("*.", "www.") / "pubcert.pem"
        wait_for(lambda: path.exists() and self.first(path).serial_number != before, 60, "mod_md's renewal", every=0.2)
        return self.first(path)

    def close(self):
        pid = self.dir / "apache2.pid"
        if pid.exists():
            number = int(pid.read_text())
            os.kill(number, signal.SIGTERM)
            wait_for(lambda: is_over(number), 20, "the end of Apache")  # its ports are in use until then, its pid file is not


class Caddy(Client):
    """It serves the names and renews by itself, once two thirds of a certificate's life are over."""

    challenges = ("http-01", "tls-alpn-01")
    can = ("bind", "renew")
    renews_by_itself = True

    process = None

    def register(self):
        """It registers with its first certificate."""

    def configure(self, name, challenge):
        off = {"http-01": "disable_tlsalpn_challenge", "tls-alpn-01": "disable_http_challenge"}[challenge]
        config = self.dir / "Caddyfile"
        config.write_text(f"""{{
    admin off
    http_port {self.server.http_port}
    https_port {self.server.tls_port}
    storage file_system {self.dir}/data
    renew_interval 1s
    email ops@example.test
    acme_ca {self.server.directory}
    acme_ca_root {self.server.ca}
}}
{name} {{
    tls {{
        issuer acme {{
            dir {self.server.directory}
            trusted_roots {self.server.ca}
            email ops@example.test
            {f"eab {self.eab[0]} {self.eab[1]}" if self.eab else ""}
            {off}
        }}
    }}
    respond "here"
}}
""")
        return config

    def issue(self, name, challenge):
        self.close()
        log = open(self.dir / "caddy.log", "ab")
        self.process = subprocess.Popen(["/usr/bin/caddy", "run", "--config", self.configure(name, challenge), "--adapter", "caddyfile"],
                                        stdout=log, stderr=log, cwd=self.dir, env=clean_env() | {"HOME": str(self.dir)})
        log.close()
        return self.wait_certificate(name, None)

    def found(self, name):
        return next(iter((self.dir / "data/certificates").glob(f"*/{name}/{name}.crt")), None)

    def wait_certificate(self, name, other_than, seconds=60):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            path = self.found(name)
            if path is not None and self.first(path).serial_number != other_than:
                return self.first(path)
            time.sleep(0.1)
        raise ClientFailed(f"caddy got no certificate\n{(self.dir / 'caddy.log').read_text()[-4000:]}")

    def renew(self, name, challenge):
        before = self.first(self.found(name))
        return self.wait_certificate(name, before.serial_number, 120)

    def close(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None


CLIENTS = {"lego": Lego, "certbot": Certbot, "uacme": Uacme, "dehydrated": Dehydrated, "mod_md": ModMd, "caddy": Caddy}
