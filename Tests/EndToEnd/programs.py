"""What the tests' own servers share: HTTPS on a host of the cluster, a certificate, and how to wait for the port.

Such a server is a program with an address and a directory, where cert.pem and key.pem lie; it writes its port to `port`
there."""

import http.server
import json
import os
import ssl
import subprocess
import sys

from hosts import eventually


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers in JSON and keeps quiet; `self.server.directory` is the program's."""

    protocol_version = "HTTP/1.1"

    def body(self):
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def answer(self, value, code=200):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def serve(handler, address, directory, clients=None):
    """Serves until it is killed. `clients` is an authority whose certificate everybody must have."""
    server = http.server.ThreadingHTTPServer((address, 0), handler)
    server.directory = directory
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem"))
    if clients:
        tls.load_verify_locations(os.path.join(directory, clients))
        tls.verify_mode = ssl.CERT_REQUIRED
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    with open(os.path.join(directory, "port.new"), "w") as file:
        file.write(str(server.server_address[1]))
    os.rename(os.path.join(directory, "port.new"), os.path.join(directory, "port"))
    server.serve_forever()


def certify(directory, name, alternative):
    """Makes a key and a certificate that signs itself; returns the certificate."""
    key, cert = (os.path.join(directory, file) for file in ("key.pem", "cert.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={name}", "-addext",
                    f"subjectAltName={alternative}"], check=True, capture_output=True)
    with open(cert) as file:
        return file.read()


def start(cluster, program, address, directory):
    """Starts a program of this directory on the cluster's host; returns the process and the port."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{program}.py")
    process = cluster.host.spawn([sys.executable, path, address, directory], program)
    port = os.path.join(directory, "port")
    eventually(lambda: os.path.exists(port), 20, what=f"the {program}")
    with open(port) as file:
        return process, int(file.read())
