#!/usr/bin/env python3
"""What a machine sees of AWS: the metadata service, a name server, and HTTPS endpoints, in a network of their own.

Run in an empty network namespace as `cloud.py FOLDER JSON`: FOLDER holds the certificates, JSON says what is wrong. Prints
`ready` when everything listens, and ends with its standard input.
"""

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

METADATA, NAMES, ENDPOINTS, PROXY = "169.254.169.254", "10.99.0.53", "10.99.0.10", "10.99.0.80"
# Where only the proxy gets to.
BEHIND = "127.0.0.9"
REGION, INSTANCE, TOKEN = "eu-central-1", "i-0123456789abcdef0", "stand-in"
SERVED = {
    "/latest/meta-data/placement/region": REGION,
    "/latest/meta-data/services/domain": "amazonaws.com",
    "/latest/meta-data/instance-id": INSTANCE,
    "/latest/meta-data/iam/security-credentials/": "node-role",
}


def run(*command):
    subprocess.run(command, check=True)


class Quiet(BaseHTTPRequestHandler):
    """A handler whose clock may be off, and that writes no log."""

    protocol_version = "HTTP/1.1"
    ahead_secs = 0

    def date_time_string(self, timestamp=None):
        return formatdate((timestamp or time.time()) + self.ahead_secs, usegmt=True)

    def log_message(self, *_):
        pass

    def answer(self, code, body=b"", kind="text/plain"):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Metadata(Quiet):
    """IMDSv2: nothing without a token."""

    role = "Success"
    off = False

    def do_PUT(self):
        if self.off:
            return self.answer(403)
        return self.answer(200, TOKEN.encode())

    def do_GET(self):
        if self.off:
            return self.answer(403)
        if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            return self.answer(401)
        credentials = "/latest/meta-data/iam/security-credentials/"
        if self.path.startswith(credentials) and self.role == "absent":
            return self.answer(404)
        if self.path == credentials + "node-role":
            ends = time.time() + (-3_600 if self.role == "expired" else 3_600)
            code = "Success" if self.role == "expired" else self.role
            body = {"Code": code, "AccessKeyId": "ASIASTANDINSTANDIN01", "SecretAccessKey": "stand-in-secret-of-the-role",
                    "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))}
            return self.answer(200, json.dumps(body, indent=2).encode())
        body = SERVED.get(self.path)
        return self.answer(404) if body is None else self.answer(200, body.encode())


class Endpoint(Quiet):
    """An endpoint of AWS: it has no use for a bare request."""

    def do_GET(self):
        self.answer(404, b"<UnknownOperationException/>")


class Refusing(Quiet):
    """A proxy that lets nobody through."""

    def do_CONNECT(self):
        self.answer(407)

    do_GET = do_PUT = do_CONNECT


class Tunnel(Quiet):
    """A proxy that leads everybody to the endpoints, which are to be had nowhere else."""

    def do_CONNECT(self):
        with socket.create_connection((BEHIND, 443)) as far:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=pour, args=(far, self.connection), daemon=True)
            back.start()
            pour(self.connection, far)
            back.join(5)
        self.close_connection = True


def pour(source, sink):
    """Copies bytes until one side has enough."""
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def names(answering):
    """A name server: every name of AWS is one address. One that is silent listens and says nothing."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((NAMES, 53))

    def serve():
        while True:
            query, client = server.recvfrom(2_048)
            if not answering:
                continue
            end, labels = 12, []
            while query[end]:
                labels.append(query[end + 1:end + 1 + query[end]].decode("ascii", "replace"))
                end += query[end] + 1
            kind = int.from_bytes(query[end + 1:end + 3], "big")
            known = ".".join(labels).lower().endswith("amazonaws.com")
            record = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4" + socket.inet_aton(ENDPOINTS) if known and kind == 1 else b""
            flags = b"\x81\x80" if known else b"\x81\x83"
            head = query[:2] + flags + b"\0\1" + (b"\0\1" if record else b"\0\0") + b"\0\0\0\0"
            server.sendto(head + query[12:end + 5] + record, client)

    threading.Thread(target=serve, daemon=True).start()


def serve(address, port, handler, certificate=None):
    server = ThreadingHTTPServer((address, port), handler)
    server.daemon_threads = True
    # A client that goes away, or that does not like a certificate, is what some hosts are about.
    server.handle_error = lambda *_: None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # Each handshake in its connection's own thread: a client that hangs keeps nobody else waiting.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    folder, wrong = Path(sys.argv[1]), json.loads(sys.argv[2])
    blocked = set(wrong.get("blocked", ()))
    run("ip", "link", "set", "lo", "up")
    for name, address in (("metadata", METADATA), ("names", NAMES), ("endpoints", ENDPOINTS), ("proxy", PROXY)):
        # Packets to an address that is not here are neither answered nor forwarded.
        if name not in blocked:
            run("ip", "addr", "add", f"{address}/32", "dev", "lo")
    ahead = wrong.get("ahead_secs", 0)
    Metadata.role, Metadata.off = wrong.get("role", "Success"), wrong.get("metadata_off", False)
    Metadata.ahead_secs = Endpoint.ahead_secs = ahead
    if "metadata" not in blocked:
        serve(METADATA, 80, Metadata)
    if "names" not in blocked:
        names(not wrong.get("names_silent"))
    if "endpoints" not in blocked and not wrong.get("endpoints_refuse"):
        serve(ENDPOINTS, 443, Endpoint, folder / f"{wrong.get('certificate', 'good')}.pem")
    serve(BEHIND, 443, Endpoint, folder / "good.pem")
    serve(PROXY, 3_128, Tunnel if wrong.get("proxy_works") else Refusing)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
