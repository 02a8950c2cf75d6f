# SPDX-License-Identifier: MIT
"""followers.py - a client of server-sent events, as the standard wants them read."""
import contextlib
import json

from machines import PATIENCE

EVENTS = "/events"
MONITOR = 5003
FOLLOWERS = 16  # at once


class Follower:
    """What comes by GET /events, one event after the other."""

    def __init__(self, network, port=MONITOR, path=EVENTS, host="127.0.0.1", after=None, token=None):
        self.connection = network.open(port, host, timeout=PATIENCE)
        headers = {"Last-Event-ID": after} if after is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self.connection.request("GET", path, headers=headers)
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.id = None

    def block(self):
        """The lines up to an empty one; None at the end."""
        found = []
        while line := self.response.readline().decode():
            if line == "\n":
                return found
            found.append(line.rstrip("\n"))
        return None

    def next(self):
        """An event: its name and its data."""
        while (lines := self.block()) is not None:
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            self.id = fields.get("id", self.id)
            if "data" in fields:
                return fields["event"], json.loads(fields["data"])
        raise EOFError

    def find(self, name, **wanted):
        """The data of the first event to come that is of this kind and says this."""
        while True:
            kind, data = self.next()
            if kind == name and all(data[key] == value for key, value in wanted.items()):
                return data

    def ends(self):
        with contextlib.suppress(EOFError):
            while True:
                self.next()
        return True

    def close(self):
        self.response.close()
        self.connection.close()
