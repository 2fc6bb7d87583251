#!/usr/bin/python3
"""Makes docs/reference/api.md from what certctl-apiserver --print-routes says.

  tools/apidoc.py [BUILD_DIR]           write the page
  tools/apidoc.py --check [BUILD_DIR]   exit 1 when the committed page differs
"""
import json
import os
import subprocess
import sys

from madepage import build_dir, keep

PAGE = "docs/reference/api.md"
HEAD = """# Routes of the API

<!-- Made by tools/apidoc.py from certctl-apiserver --print-routes; do not edit. -->

Who may ask what. *public*: no key is looked at. *signed-in*: any good key. *permission*: the key's roles hold it. *agent*: the same, and
an agent's own key with its own id only. *register*: the bootstrap token, or the permission. A *scope* says that a grant limited to one
such object counts there. *Own keys*: agents' own keys may ask. Probes are not rated ([security.md](../operator/security.md)).
*Errors*: who renders them; *brief* ones have no `request_id`, which the header `X-Request-ID` has. *Preflight*: `OPTIONS` is answered 204 without a key; elsewhere it is 405. `HEAD` is `GET` without the body below `/api/v1/auth/` and `/acme/`; elsewhere it is 405. *Audit*: the events that a success
leaves under the caller's name; which of several, its outcome says.

Parameters, bodies and answers stand in `GET /api/v1/openapi.json`, which the apiserver makes of the same tables (OpenAPI 3.1).

*Body*: bytes at most; of *none* nothing is read, and one of more than 4 KiB is refused (413).

An unknown path is 404, and a method that its path does not have 405; where every route asks for a key they are so for who has one, and 401
for others. Below `/api/v1/` `OPTIONS` is 204 all the same. Where answers are not those of the API that this one is compatible with,
[differences.md](differences.md) says why.
"""


# Bytes at most that no variable says.
BODIES = {0: "none", 4096: "4 KiB"}


def page(routes):
    text, area = HEAD, None
    for r in routes:
        if r["area"] != area:
            area = r["area"]
            text += (f"\n## {area}\n\n| Route | Who | Permission | Scope | Own keys | Body | Rated | Deadline | Errors | Preflight | Audit |\n"
                     "|---|---|---|---|---|---|---|---|---|---|---|\n")
        cells = [f"`{r['method']} {r['pattern']}`", r["auth"], ", ".join(f"`{p}`" for p in (r["permission"], r["also"]) if p), r["scope"],
                 "yes" if r["own_keys"] else "", BODIES.get(r["max_body"], "`CERTCTL_MAX_BODY_SIZE`"),
                 "yes" if r["rate"] == "rated" else "no",
                 f"{r['deadline_ms'] // 1000} s", r["renderer"],
                 "yes" if r["preflight"] else "no", ", ".join(f"`{a}`" for a in r["audit"])]
        text += "| " + " | ".join(cells) + " |\n"
    return text


def main(arguments):
    program = os.path.join(build_dir(arguments), "apiserver", "certctl-apiserver")
    env = {k: v for k, v in os.environ.items() if not k.startswith("CERTCTL_")}
    done = subprocess.run([program, "--print-routes"], stdout=subprocess.PIPE, check=True, env=env)
    return keep(PAGE, page(json.loads(done.stdout)), "--check" in arguments, "--print-routes says: run tools/apidoc.py")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
