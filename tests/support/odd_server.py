"""
A server of the test's own in the place of the apiserver, over TLS with the
fleet's certificate, that answers as it likes.
"""
import contextlib
import http.server
import json
import ssl
import threading

from fleet import free_port


def _handler(answer, asked):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self):
            asked.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            asked.headers.append(dict(self.headers))
            asked.append((self.command, self.path))
            status, body, *headers = answer(self.command, self.path)
            body = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = handle_one

        def log_message(self, *_):
            pass

        do_PUT = handle_one
    return Handler


class Asked(list):
    """(method, path) of each request; beside it its body and headers."""

    def __init__(self):
        super().__init__()
        self.bodies, self.headers = [], []

    def forget(self):
        for kept in (self, self.bodies, self.headers):
            kept.clear()


class OddServers:
    """Those of one test; the fleet's api_port is that of the last one."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.servers = []

    def serve(self, answer):
        """answer(method, path) is (status, body), and headers as pairs; a body is bytes or becomes JSON.  What was asked, as it grows."""
        asked = Asked()
        self.fleet.make_tls()
        self.fleet.api_port = free_port()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.fleet.api_port), _handler(answer, asked))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.fleet.dir / "tls" / "api.pem", self.fleet.dir / "tls" / "api.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.servers.append(server)
        return asked

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()


@contextlib.contextmanager
def odd_servers(fleet):
    servers = OddServers(fleet)
    try:
        yield servers
    finally:
        servers.close()
