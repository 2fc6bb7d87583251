"""
A control plane for ACME clients: three apiservers on one port, a worker that
validates, a name server whose records tests set, and profiles of long and short lives.
"""
from acme_clients import Server
from fleet import Fleet, free_port, wait_for

# And how long its certificates live; 0: as the issuer says.
PROFILES = {"prof-acme": 0, "prof-short": 45, "prof-bound": 0}
SETTINGS = {
    "CERTCTL_ACME_SERVER_ENABLED": "true",
    "CERTCTL_ACME_SERVER_DEFAULT_PROFILE_ID": "prof-acme",
    "CERTCTL_ACME_SERVER_RATE_LIMIT_CONCURRENT_ORDERS": "0",
}


class AcmeStack:
    def __init__(self, name="acme"):
        self.fleet = Fleet(name)
        self.http_port, self.tls_port, self.dns_port, self.dns_api_port = (free_port() for _ in range(4))
        self.names = None
        self.dir = self.fleet.dir  # for whoever reports a failure

    def __enter__(self):
        fleet = self.fleet
        fleet.start_postgres()
        self.names = fleet.spawn("names", [
            "/usr/bin/pebble-challtestsrv", "-dns01", f"127.0.0.1:{self.dns_port}", "-management", f"127.0.0.1:{self.dns_api_port}",
            "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""], {})
        fleet.start_apiserver(**SETTINGS)
        port = str(fleet.api.port)
        for i in (2, 3):
            fleet.start_apiserver(i, wait=False, CERTCTL_SERVER_PORT=port, **SETTINGS)
        wait_for(lambda: fleet.value("SELECT count(*) FROM apiservers") == 3, 20, "three apiservers")
        fleet.start_scheduler()
        fleet.start_worker(CERTCTL_ACME_SERVER_DNS01_RESOLVER=f"127.0.0.1:{self.dns_port}",
                           CERTCTL_ACME_SERVER_HTTP01_PORT=str(self.http_port), CERTCTL_ACME_SERVER_TLSALPN01_PORT=str(self.tls_port), CERTCTL_ACME_SERVER_ALLOW_LOOPBACK="true")
        fleet.make_basics()
        for ident, seconds in PROFILES.items():
            fleet.api.need("POST", "/api/v1/profiles", {
                "id": ident, "name": ident, "acme_auth_mode": "challenge", "issuer_id": "iss-local", "acme_owner_id": "o-test",
                "max_ttl_seconds": seconds, "allow_short_lived": True,
                "acme_eab_required": ident == "prof-bound"})
        return self

    def eab_key(self, **more):
        """Id and HMAC key of one that admits to prof-bound."""
        made = self.fleet.api.need("POST", "/api/v1/acme/eab-keys", {"profile_id": "prof-bound"} | more)
        return made["id"], made["hmac_key"]

    def __exit__(self, *_):
        self.fleet.close()

    def server(self, profile="prof-acme"):
        return Server(f"https://localhost:{self.fleet.api.port}/acme/profile/{profile}/directory", self.fleet.dir / "tls/api.pem",
                      self.http_port, self.tls_port, self.dns_port, f"http://127.0.0.1:{self.dns_api_port}")
