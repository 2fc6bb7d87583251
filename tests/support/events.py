"""
A listener to live events: reads a stream of server-sent events in a thread, as
WHATWG HTML section 9.2 says.
"""
import http.client
import json
import threading
import time

from fleet import API_KEY, wait_for


class Listener:
    """events: (id, name, body) in the order they came; last_id also moves with blocks that have no data."""

    def __init__(self, api, query="", last_id=None, key=API_KEY, wait=True):
        self.events, self.comments, self.times = [], [], []
        self.last_id, self.retry = last_id, None
        self.is_over = self.is_cut = False
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        self.connection = http.client.HTTPSConnection("127.0.0.1", api.port, context=api.context, timeout=60)
        self.connection.request("GET", f"/api/v1/events{query}", headers=headers)
        self.response = self.connection.getresponse()
        self.status = self.response.status
        if self.status != 200:
            self.body = json.loads(self.response.read())
            self.close()
            return
        assert self.response.headers["Content-Type"] == "text/event-stream"
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        if wait:
            wait_for(lambda: self.last_id != last_id or self.events or self.is_over, 20, "the stream's first lines")

    def _read(self):
        name, data, new_id = "message", [], None
        try:
            while line := self.response.readline():
                line = line.decode().rstrip("\n")
                if not line:
                    if new_id is not None:
                        self.last_id = new_id
                    if data:
                        self.events.append((new_id, name, json.loads("\n".join(data))))
                        self.times.append(time.time())
                    name, data, new_id = "message", [], None
                elif line.startswith(":"):
                    self.comments.append(line[1:].strip())
                else:
                    field, _, value = line.partition(": ")
                    if field == "id":
                        new_id = value
                    elif field == "event":
                        name = value
                    elif field == "data":
                        data.append(value)
                    elif field == "retry":
                        self.retry = int(value)
                    else:
                        raise AssertionError(line)
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            self.is_cut = True
        self.is_over = True

    def bodies(self, kind=None):
        return [body for _, name, body in list(self.events) if kind is None or name == kind]

    def wait(self, test, seconds=20, what="an event"):
        wait_for(lambda: any(test(body) for body in self.bodies()), seconds, what)
        return next(body for body in self.bodies() if test(body))

    def close(self):
        sock = self.connection.sock
        if sock is not None:
            try:
                sock.shutdown(2)
            except OSError:
                pass
        if hasattr(self, "thread"):
            self.thread.join(10)
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
