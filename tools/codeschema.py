#!/usr/bin/python3
"""Makes code_gen.h: the name of the schema of the functions in migrations/code.

usage: codeschema.py HEADER POLICY FILE...

The name is "certctl_" and 12 hex digits of the SHA-256 of the files' texts, one
after the other: that of policy.def first, then those of the directory by name, as
certctl-apiserver --migrate-only computes it of the directory it is given.
"""
import hashlib
import os
import sys


def name_of(paths):
    digest = hashlib.sha256()
    for path in [paths[0], *sorted(paths[1:], key=os.path.basename)]:
        with open(path, "rb") as f:
            digest.update(f.read())
    return "certctl_" + digest.hexdigest()[:12]


def main():
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        f.write("/* Made by tools/codeschema.py from migrations/code; do not edit. */\n"
                "#ifndef CODE_GEN_H\n#define CODE_GEN_H\n\n"
                f'#define CODE_SCHEMA "{name_of(sys.argv[2:])}"\n\n#endif\n')


if __name__ == "__main__":
    main()
