"""The API's own description, and what tests make of it: requests, and judgements of answers."""
import http.client
import json
import re
import urllib.parse

import jsonschema

from fleet import ended

# Words of the inside that no client should read: PostgreSQL's, our files' and our functions'.
INTERNAL = re.compile(r"SQLSTATE|PL/pgSQL|\b(?:2[0-9]|4[0-9]|5[0-9]|XX|P0)[0-9A-Z]{3}: |\w\.[ch]:\d+|\.sql\b|\bERROR:|syntax error|violates|relation \"|column \"|"
                      r"invalid input|out of range for|_fkey\b|_pkey\b|(?<!\bhealth)_check\b|_excl\b|pg_\w+|\bPQ\w+|0x[0-9a-f]{6,}|\(null\)|/build/|"
                      r"\b(?:op|db|req|json|field|arena)_[a-z_]+\(")
# Where the contract has an answer of its own of these statuses.
OWN_5XX = {"/.well-known/pki/crl/{issuer}": {501, 503}, "/.well-known/pki/crl/{issuer}/{key}": {501, 503},
           "/.well-known/pki/ocsp/{issuer}": {501, 503}, "/.well-known/pki/ocsp/{issuer}/{asked}": {501, 503},
           "/api/v1/digest/preview": {503}, "/api/v1/digest/send": {503}}


class Client:
    """One connection that is kept, opened anew where the server closed it."""

    def __init__(self, api, key=None):
        self.api, self.key, self.connection = api, api.key if key is None else key, None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def call(self, method, path, payload=None, media="", headers=None):
        """(status, headers, bytes)."""
        key = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        headers = {"Content-Type": media or "application/json"} | key | (headers or {})
        for _ in range(2):
            kept = self.connection is not None
            if not kept:
                self.connection = http.client.HTTPSConnection("127.0.0.1", self.api.port, context=self.api.context, timeout=40)
            try:
                self.connection.request(method, ended(path), payload, headers)
                response = self.connection.getresponse()
                return response.status, response.headers, response.read()
            except (OSError, http.client.HTTPException):
                self.close()
                if not kept:
                    raise
        raise ConnectionError(f"{method} {path}: closed twice")


def operations(document):
    """(method, path, operation) of each."""
    return [(method.upper(), path, operation) for path, methods in document["paths"].items() for method, operation in methods.items()]


def parameters(operation, where):
    return {p["name"]: p for p in operation["parameters"] if p["in"] == where}


def body_schema(operation):
    body = operation.get("requestBody")
    return body and body["content"]["application/json"]["schema"]


def target(path, params, query=()):
    for name, value in params.items():
        path = path.replace("{%s}" % name, urllib.parse.quote(value, safe="", errors="surrogatepass"))
    return with_query(path, query)


def with_query(path, query):
    """With these parameters behind those that it has."""
    text = "&".join(f"{urllib.parse.quote(n, safe='')}={urllib.parse.quote(v, safe='')}" for n, v in query)
    return f"{path}{'&' if '?' in path else '?'}{text}" if text else path


def fault_of_problem(status, headers, text):
    """Why this is no problem document of an ACME server (RFC 8555 section 6.7), or None."""
    try:
        reply = json.loads(text)
    except ValueError:
        return "no JSON"
    if headers.get("Content-Type") != "application/problem+json":
        return "not called a problem document"
    if not str(reply.get("type")).startswith("urn:ietf:params:acme:error:") or not reply.get("detail") or reply.get("status") != status:
        return "no type, detail or status in it"
    if status == 405 and not headers.get("Allow"):
        return "405 without Allow"
    return f"more than a problem has: {sorted(reply)}" if set(reply) - {"type", "detail", "status", "subproblems", "algorithms"} else None


def fault_of_error(path, status, headers, text):
    """Why this is not an error as the contract has it, or None."""
    # A target that can't be read is of no area.
    if path.startswith("/acme/") and "the request target is malformed" not in text:
        return fault_of_problem(status, headers, text)
    if status == 405:
        return None if text == "Method Not Allowed\n" and headers.get("Allow") else "405 in other words"
    if status == 404 and text == "404 page not found\n":
        return None
    try:
        reply = json.loads(text)
    except ValueError:
        return "no JSON"
    if not isinstance(reply, dict) or not isinstance(reply.get("error"), str) or not reply["error"]:
        return "no error in it"
    if status in (401, 403, 429) and set(reply) <= {"error", "retry_after_seconds"}:
        return None
    if path.startswith("/api/v1/digest") and status == 503:
        return None
    if not reply.get("message"):
        return "no message"
    if set(reply) - {"error", "message", "request_id", "counts"}:
        return f"more than the contract has: {sorted(reply)}"
    return None


def members_untold(schema, reply):
    """Members of an answer, or of the first row of a list, that its schema has not."""
    if isinstance(reply, list):
        return members_untold(schema["items"], reply[0]) if reply else []
    told = schema.get("properties", {})
    if isinstance(reply.get("data"), list) and told.get("data", {}).get("type") == "array":
        return members_untold(told["data"], reply["data"])
    return sorted(set(reply) - set(told)) if isinstance(reply, dict) else []


def fault_of(document, path, operation, status, headers, body):
    """What is wrong with an answer, in words, or None."""
    if status >= 500 and status not in OWN_5XX.get(path, ()):
        return f"{status}"
    if headers.get_content_type() in ("application/ocsp-response", "application/pkix-crl", "application/x-pkcs12"):
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    if status >= 400:
        found = INTERNAL.search(text)
        return f"internal text: {found.group()}" if found else fault_of_error(path, status, headers, text)
    described = operation["responses"].get(str(status))
    if described is None:
        return None if "2XX" in operation["responses"] else f"{status} is not described"
    contents = {kind.split(";")[0]: content["schema"] for kind, content in described.get("content", {}).items()}
    if contents and headers.get_content_type() not in contents:
        return f"{headers.get_content_type()} is not described"
    if headers.get_content_type() == "application/json" and contents.get("application/json"):
        wrong = next(iter(jsonschema.Draft202012Validator(contents["application/json"]).iter_errors(json.loads(text))), None)
        if wrong:
            return f"{list(wrong.path)}: {wrong.message[:200]}"
        untold = members_untold(contents["application/json"], json.loads(text))
        if untold:
            return f"not described: {untold}"
    if not described.get("content") and status != 304 and text:
        return "a body that is not described"
    return None
