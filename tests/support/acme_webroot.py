#!/usr/bin/python3
"""acme_webroot.py PORT DIRECTORY: serves the files of a directory as /.well-known/acme-challenge/; says so once it listens."""
import http.server
import sys
from pathlib import Path

DIRECTORY = Path(sys.argv[2])


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = DIRECTORY / self.path.rpartition("/")[2]
        found = self.path.startswith("/.well-known/acme-challenge/") and path.is_file()
        self.send_response(200 if found else 404)
        self.end_headers()
        if found:
            self.wfile.write(path.read_bytes())

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer)
    print("listens", flush=True)
    server.serve_forever()
