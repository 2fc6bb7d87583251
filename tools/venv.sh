#!/bin/bash
# Makes build-venv/, the Python packages that a test needs and Debian has not:
# those of tests/support/lint/requirements.txt, each pinned by its hash.  With
# them in place nothing is asked of the network.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted=tests/support/lint/requirements.txt
dir=build-venv
# Written last, so a half-made one is made again.
! cmp -s "$wanted" "$dir/made-from" || exit 0
rm -rf "$dir"
/usr/bin/python3 -m venv "$dir"
# A machine behind a proxy with a CA of its own has that CA here, and pip looks elsewhere.
[ ! -r /etc/ssl/certs/ca-certificates.crt ] || export PIP_CERT=${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}
if ! "$dir/bin/pip" --quiet --disable-pip-version-check --retries 1 --timeout 30 install --no-deps --only-binary :all: --require-hashes -r "$wanted"; then
    rm -rf "$dir"
    echo "FAILED at venv: pip could not install $wanted (the reason stands above)" >&2
    exit 1
fi
cp "$wanted" "$dir/made-from"
