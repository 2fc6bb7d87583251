"""
Receivers of notifications on this host: a mail server and a web server, with
certificates of a CA of their own, that keep what they are sent and answer as
a test likes.

Each answers by `behave`: a callable of what was asked, or a list of answers of
which each serves once and the last one for ever.
"""
import base64
import contextlib
import email
import email.policy
import http.server
import json
import socket
import socketserver
import ssl
import subprocess
import threading


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"})


class Trust:
    """A CA, and pairs of it: `good` for localhost, `wrong` for another name, `expired`; `stranger` is of no CA of ours."""

    def __init__(self, directory, days=2):
        self.directory, self.days = directory, str(days)
        directory.mkdir()
        self.ca = directory / "ca.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", self.days, "-subj", "/CN=sinks",
                "-keyout", directory / "ca.key", "-out", self.ca)
        self.make("good", "localhost")
        self.make("wrong", "elsewhere.example")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", self.days, "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost", "-keyout", directory / "stranger.key", "-out", directory / "stranger.pem")

    def make(self, name, host):
        stem = self.directory / name
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={host}",
                "-addext", f"subjectAltName=DNS:{host}", "-keyout", f"{stem}.key", "-out", f"{stem}.csr")
        openssl("x509", "-req", "-in", f"{stem}.csr", "-CA", self.ca, "-CAkey", self.directory / "ca.key", "-days", self.days,
                "-copy_extensions", "copy", "-out", f"{stem}.pem")

    def context(self, name="good"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        return context


class Answers:
    """What is answered next."""

    def __init__(self, default):
        self.default, self.lock = default, threading.Lock()
        self.reset()

    def reset(self, *answers):
        with self.lock:
            self.answers = list(answers) or [self.default]

    def next(self):
        with self.lock:
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass  # a client that refuses us, or is killed


class Closing:
    """A handler that leaves no connection open, TLS or not."""

    def finish(self):
        with contextlib.suppress(OSError, ValueError):
            super().finish()
        self.connection.close()


class Sink:
    ports = iter(())  # those to take, in turn; then any

    def __init__(self, handler, default):
        self.got, self.answers = [], Answers(default)
        self.open, self.lock = 0, threading.Lock()
        self.release = threading.Event()
        self.server = Server(("127.0.0.1", next(self.ports, 0)), handler)
        self.server.sink = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def clear(self, *answers):
        self.got.clear()
        self.answers.reset(*answers)

    @contextlib.contextmanager
    def counted(self):
        with self.lock:
            self.open += 1
        try:
            yield
        finally:
            with self.lock:
                self.open -= 1

    def close(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


class WebHandler(Closing, http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        sink = self.server.sink
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with sink.counted():
            answer = sink.answers.next()
            sink.got.append({"path": self.path, "headers": dict(self.headers), "raw": body, "json": json.loads(body)})
            self.answer(answer)

    def answer(self, answer):
        if answer == "cut":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if answer == "hang":
            self.server.sink.release.wait(60)
            answer = 200
        status, body, headers = (answer, b"ok", {}) if isinstance(answer, int) else answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class TlsWebHandler(WebHandler):
    def setup(self):
        self.request = self.server.sink.context.wrap_socket(self.request, server_side=True)
        super().setup()


class WebSink(Sink):
    """Answers: a status, (status, body, headers), "cut", "hang" (until release)."""

    def __init__(self, context=None):
        self.context = context
        super().__init__(TlsWebHandler if context else WebHandler, 200)

    def url(self, path="/hook", host="localhost"):
        return f"http{'s' if self.context else ''}://{host}:{self.port}{path}"


class MailHandler(Closing, socketserver.StreamRequestHandler):
    """RFC 5321 as far as a client of one message needs it."""

    def handle(self):
        with self.server.sink.counted():
            self.sink, self.is_tls, self.user = self.server.sink, False, None
            if self.sink.at_once:
                self.start_tls()
            self.say("220 sink")
            while (line := self.rfile.readline()):
                if not self.obey(line.decode("latin-1").rstrip("\r\n")):
                    return

    def start_tls(self):
        self.rfile.close()
        self.connection = self.sink.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.is_tls = self.connection.makefile("rb"), True

    def say(self, text):
        self.connection.sendall(text.encode() + b"\r\n")

    def obey(self, line):
        verb = line.split(" ")[0].upper()
        refusal = self.sink.refusals.get(verb)
        if refusal == "cut":
            return False
        if refusal:
            self.say(refusal)
        elif verb == "EHLO":
            self.say("250-sink")
            if self.sink.context and not self.is_tls and self.sink.offers_tls:
                self.say("250-STARTTLS")
            self.say("250 AUTH PLAIN")
        elif verb == "STARTTLS":
            self.say("220 go ahead")
            self.start_tls()
        elif verb == "AUTH":
            initial = line.split(" ")[2:]
            if not initial:
                self.say("334 ")
                initial = [self.rfile.readline().decode()]
            self.user = base64.b64decode(initial[0]).decode().split("\0")[1:]
            self.say("235 welcome" if self.user == self.sink.account else f"535 5.7.8 no such user {self.user[1]}")
        elif verb == "MAIL":
            self.sender, self.to = line[len("MAIL FROM:"):], []
            self.say("250 ok")
        elif verb == "RCPT":
            self.to.append(line[len("RCPT TO:"):])
            self.say("250 ok")
        elif verb == "DATA":
            self.say("354 go on")
            return self.take_message()
        elif verb == "QUIT":
            self.say("221 bye")
            return False
        else:
            self.say("500 what")
        return True

    def take_message(self):
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line[1:] if line.startswith(b".") else line)
        raw = b"".join(lines)
        self.sink.got.append({"from": self.sender, "to": self.to, "tls": self.is_tls, "user": self.user, "raw": raw,
                              "message": email.message_from_bytes(raw, policy=email.policy.default)})
        answer = self.sink.answers.next()
        if answer == "cut":
            return False
        if answer == "hang":
            self.sink.release.wait(60)
            answer = "250 taken"
        self.say(answer)
        return True


class MailSink(Sink):
    """Answers to the end of a message: a line, "cut", "hang"; refusals: by verb, a line or "cut"."""

    def __init__(self, context=None, at_once=False, offers_tls=True, account=None):
        self.context, self.at_once, self.offers_tls, self.account, self.refusals = context, at_once, offers_tls, account, {}
        super().__init__(MailHandler, "250 taken")
