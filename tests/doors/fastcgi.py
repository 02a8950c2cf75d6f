# SPDX-License-Identifier: MIT
"""A FastCGI client as small as the protocol allows: one request a connection, as NGINX speaks to a service."""
import socket
import struct

class Client:
    """Somebody with a connection on loopback, as a web server tells of it: services look up whose it is."""

    def __init__(self, make=socket.socket):
        self.server = make()
        self.server.bind(("127.0.0.1", 0))
        self.server.listen()
        self.client = make()
        self.client.connect(self.server.getsockname())
        self.accepted, _ = self.server.accept()

    @property
    def variables(self):
        (address, port), (server, server_port) = self.client.getsockname(), self.client.getpeername()
        return {"REMOTE_ADDR": address, "REMOTE_PORT": str(port), "SERVER_ADDR": server, "SERVER_PORT": str(server_port)}

    def close(self):
        for each in self.client, self.accepted, self.server:
            each.close()


BEGIN_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6
RESPONDER = 1


def record(kind, content=b""):
    return struct.pack(">BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def stream(kind, content):
    pieces = [content[i:i + 65535] for i in range(0, len(content), 65535)]
    return b"".join(record(kind, piece) for piece in pieces) + record(kind)


def length(n):
    return bytes([n]) if n < 128 else struct.pack(">I", n | 1 << 31)


def parameters(variables):
    return b"".join(length(len(name)) + length(len(value)) + name + value
                    for name, value in ((k.encode(), v.encode()) for k, v in variables.items()))


def ask(path, variables, body=b"", timeout=30):
    """A connection to the unix socket at path, on which a request was sent."""
    sent = record(BEGIN_REQUEST, struct.pack(">HB5x", RESPONDER, 0)) + stream(PARAMS, parameters(variables)) + stream(STDIN, body)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    connection.connect(path)  # only now: a service gives who is connected and says nothing a second
    connection.sendall(sent)
    return connection


def request(path, variables, body=b"", timeout=30):
    """(status, headers, body) of one request to the unix socket at path."""
    with ask(path, variables, body, timeout) as connection:
        answer, output = connection.makefile("rb"), b""
        while True:
            header = answer.read(8)
            if len(header) < 8:
                raise ConnectionError("the worker closed the connection before its answer was whole")
            _, kind, _, size, padding, _ = struct.unpack(">BBHHBB", header)
            content = answer.read(size)
            answer.read(padding)
            if kind == STDOUT:
                output += content
            elif kind == END_REQUEST:
                break
    head, _, content = output.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    return int(headers.get("Status", "200").split()[0]), headers, content
