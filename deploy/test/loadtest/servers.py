"""
Real TLS servers whose certificates certctl deploys: nginx, apache2 and haproxy, each on a port of its own.

The agent knows one kind of target, NGINX, which is two files and two commands of the operator's; apache2 and haproxy are looked after
by the same with their own commands.
"""
import pwd
import shutil
import subprocess

from fleet import Site, clean_env, free_port, wait_for

MODULES = "/usr/lib/apache2/modules"

NGINX = """{user}
pid {home}/pid;
error_log {home}/error.log warn;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {home}/a; proxy_temp_path {home}/b; fastcgi_temp_path {home}/c; uwsgi_temp_path {home}/d; scgi_temp_path {home}/e;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        location / {{ types {{ }} default_type text/plain; return 200 "nginx\\n"; }}
    }}
}}
"""
APACHE2 = """ServerRoot {home}
ServerName apache2.example.test
PidFile {home}/pid
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule ssl_module {modules}/mod_ssl.so
{user}
ErrorLog {home}/error.log
DocumentRoot {home}/www
<Directory {home}/www>
    ForceType text/plain
</Directory>
ServerLimit 2
SSLEngine on
SSLSessionTickets off
SSLCertificateFile {cert}
SSLCertificateKeyFile {key}
"""
HAPROXY = """global
    # The key of site.crt is site.key.
    ssl-load-extra-del-ext
    maxconn 512
defaults
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend tls
    bind 127.0.0.1:{port} ssl crt {cert}
    http-request return status 200 content-type text/plain string "haproxy\\n"
"""


def place(fleet, name):
    """(home, directory, certificate, key): with a certificate to begin with, which the agent adopts."""
    home = fleet.dir / name
    site = home / "site"
    site.mkdir(parents=True)
    (home / "www").mkdir()
    (home / "www" / "index.html").write_text(f"{name}\n", encoding="ascii")
    cert, key = site / "site.crt", site / "site.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=placeholder", "-keyout", key, "-out", cert], check=True, capture_output=True, env=clean_env())
    return home, cert, key


def write(fleet, name, template, user):
    home, cert, key = place(fleet, name)
    port = free_port()
    conf = home / "conf"
    conf.write_text(template.format(home=home, port=port, cert=cert, key=key, modules=MODULES, user=user if fleet.as_root else ""),
                    encoding="ascii")
    return port, home, conf


def program(name):
    return shutil.which(name, path=clean_env()["PATH"])


def start_nginx(fleet):
    port, home, conf = write(fleet, "nginx", NGINX, "user root;")
    argv = [program("nginx"), "-c", str(conf)]
    fleet.spawn("nginx", [*argv, "-g", "daemon off;"], {})
    return port, home, {"validate_command": [*argv, "-t"], "reload_command": [*argv, "-s", "reload"]}


def start_apache2(fleet):
    user = pwd.getpwnam("www-data").pw_name
    port, home, conf = write(fleet, "apache2", APACHE2, f"User {user}\nGroup {user}")
    argv = [program("apache2"), "-f", str(conf)]
    fleet.spawn("apache2", [*argv, "-DFOREGROUND"], {})
    return port, home, {"validate_command": [*argv, "-t"], "reload_command": [*argv, "-k", "graceful"]}


def start_haproxy(fleet):
    """Its master starts new workers when it is told to."""
    port, home, conf = write(fleet, "haproxy", HAPROXY, "")
    argv = [program("haproxy"), "-f", str(conf)]
    process = fleet.spawn("haproxy", [*argv, "-W"], {})
    return port, home, {"validate_command": [*argv, "-c"], "reload_command": [program("kill"), "-USR2", str(process.pid)]}


STARTS = {"nginx": start_nginx, "apache2": start_apache2, "haproxy": start_haproxy}


def start_all(fleet, agent):
    """{name: Site}: each serves what certctl issued and deployed, and is proven to."""
    fleet.start_agent(agent, CERTCTL_AGENT_COMMANDS=",".join(f"{program(p)} *" for p in (*STARTS, "kill")))
    sites = {}
    for name, start in STARTS.items():
        port, home, commands = start(fleet)
        wait_for(lambda port=port: fleet.served_serial(port), 15, name)
        fleet.api.need("POST", "/api/v1/targets", {
            "id": f"tgt-{name}", "name": f"tgt-{name}", "type": "NGINX", "agent_id": fleet.processes[agent].agent_id,
            "config": {"cert_path": str(home / "site/site.crt"), "key_path": str(home / "site/site.key"), "host": "127.0.0.1", "port": port}
            | commands})
        fleet.make_certificate(name, [f"tgt-{name}"], owner_id="o-alice", team_id="t-platform", renewal_policy_id="rp-standard")
        sites[name] = Site(fleet, name, port, home / "site", commands)
        sites[name].renew_and_wait(60)
    return sites
