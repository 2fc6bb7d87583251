"""
A name server on this host that answers from a table, by UDP and TCP, and has
the faults that a test gives to a name.

It answers as a resolver does: along CNAMEs, with all of them in the answer.
"""
import contextlib
import socket
import struct
import threading

TYPES = {"A": 1, "CNAME": 5, "TXT": 16, "AAAA": 28, "CAA": 257}
NAMES = {number: name for name, number in TYPES.items()}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
TRUNCATED = 0x0200
CHAIN_MAX = 8


def pack_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".") if label) + b"\0"


def pack_data(kind, value):
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "CNAME":
        return pack_name(value)
    if kind == "TXT":  # a text, or the strings of a record
        strings = [value] if isinstance(value, (str, bytes)) else value
        parts = [s.encode() if isinstance(s, str) else s for s in strings]
        return b"".join(bytes([len(p)]) + p for p in parts)
    flags, tag, text = value
    return bytes([flags, len(tag)]) + tag.encode() + text.encode()


def read_question(message):
    at, labels = 12, []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode())
        at += 1 + message[at]
    kind, = struct.unpack("!H", message[at + 1:at + 3])
    return ".".join(labels).lower(), NAMES.get(kind, "?"), message[12:at + 5]


class NameServer:
    """zone: {name: {type: [value, ...]}}, a callable instead of a list is asked each time; faults: {name: fault}."""

    def __init__(self, port=0):
        self.zone, self.faults, self.asked = {}, {}, []
        self.tcp = socket.socket()
        while True:
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", port))
            self.address = self.udp.getsockname()
            try:
                self.tcp.bind(self.address)
                break
            except OSError:
                self.udp.close()
                if port:
                    raise
        self.tcp.listen(64)
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    @property
    def text(self):
        return f"{self.address[0]}:{self.address[1]}"

    def close(self):
        self.udp.close()
        self.tcp.close()

    def serve_udp(self):
        while True:
            try:
                message, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            for reply in self.replies(message, "udp"):
                self.udp.sendto(reply, peer)

    def serve_tcp(self):
        while True:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.serve_stream, args=(connection,), daemon=True).start()

    def serve_stream(self, connection):
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while head := stream.read(2):
                message = stream.read(struct.unpack("!H", head)[0])
                for reply in self.replies(message, "tcp"):
                    connection.sendall(struct.pack("!H", len(reply)) + reply)

    def lookup(self, name, kind):
        """(response code, [(name, type, value), ...]), along CNAMEs."""
        found = []
        for _ in range(CHAIN_MAX):
            records = self.zone.get(name)
            if records is None:
                return (NOERROR if any(n.endswith(f".{name}") for n in self.zone) else NXDOMAIN), found
            values = records.get(kind, [])
            found += [(name, kind, v) for v in (values() if callable(values) else values)]
            if kind in records or "CNAME" not in records:
                break
            found.append((name, "CNAME", records["CNAME"]))
            name = records["CNAME"]
        return NOERROR, found

    def replies(self, message, how):
        name, kind, question = read_question(message)
        fault = self.faults.get(name)
        if isinstance(fault, dict):
            fault = fault.get(kind)
        self.asked.append((name, kind, how))
        if fault == "silence":
            return []
        if fault in ("SERVFAIL", "REFUSED"):
            return [self.reply(message, question, {"SERVFAIL": SERVFAIL, "REFUSED": REFUSED}[fault], [])]
        if fault == "truncated" and how == "udp":
            return [self.reply(message, question, NOERROR, [], flags=TRUNCATED)]
        code, records = self.lookup(name, kind)
        right = self.reply(message, question, code, records)
        if fault == "garbage":
            return [right[:14]]
        if fault == "wrong id":  # somebody guesses; the right one comes after it
            lie = self.reply(message, question, NOERROR, [(name, "TXT", "lie"), (name, "A", "127.0.0.9")])
            return [struct.pack("!H", struct.unpack("!H", lie[:2])[0] ^ 1) + lie[2:], right]
        return [right]

    @staticmethod
    def reply(message, question, code, records, flags=0):
        body = b""
        for name, kind, value in records:
            data = pack_data(kind, value)
            body += pack_name(name) + struct.pack("!HHIH", TYPES[kind], 1, 0, len(data)) + data
        return message[:2] + struct.pack("!HHHHH", 0x8180 | flags | code, 1, len(records), 0, 0) + question + body
