"""The REST API as `make up` uses it: the same calls any client makes."""
import http.client
import json
import ssl

from .ui import StepFailed


class Api:
    def __init__(self, port, ca_file, key):
        self.port = port
        self.context = ssl.create_default_context(cafile=str(ca_file))
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.key = key

    def call(self, method, path, body=None, timeout=40):
        """(status, parsed body); a refused connection is status 0."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=timeout)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, {}
        finally:
            connection.close()
        try:
            return response.status, json.loads(text) if text else {}
        except ValueError:
            return response.status, {"message": text}

    def need(self, method, path, body=None, also=()):
        status, reply = self.call(method, path, body)
        if 200 <= status < 300 or status in also:
            return reply
        raise StepFailed(f"{method} {path} answered {status}: {reply.get('message') or reply.get('error') or reply}",
                         "`make logs` shows what the apiserver said")

    def ensure(self, path, body):
        """Creates body unless its id is there already."""
        status, _ = self.call("GET", f"{path}/{body['id']}")
        if status == 404:
            self.need("POST", path, body)
            return True
        if status != 200:
            raise StepFailed(f"GET {path}/{body['id']} answered {status}", "`make logs` shows what the apiserver said")
        return False
