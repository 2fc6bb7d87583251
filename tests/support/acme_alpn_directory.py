#!/usr/bin/python3
"""
acme_alpn_directory.py PORT DIRECTORY: answers tls-alpn-01 (RFC 8737) with the
<name>.crt.pem and <name>.key.pem that a client left there; says so once it listens.
"""
import socket
import ssl
import sys
import threading
from pathlib import Path

DIRECTORY = Path(sys.argv[2])


def choose(connection, name, _):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["acme-tls/1"])
    context.load_cert_chain(DIRECTORY / f"{name}.crt.pem", DIRECTORY / f"{name}.key.pem")
    connection.context = context


def serve(client, context):
    try:
        with context.wrap_socket(client, server_side=True) as tls:
            tls.recv(1)
    except (OSError, ssl.SSLError):
        client.close()


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["acme-tls/1"])
    context.sni_callback = choose
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    print("listens", flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, context), daemon=True).start()


if __name__ == "__main__":
    main()
