#!/bin/bash
# Sees to it that k6 is there for the load tests: one of the PATH serves, and else build-k6/k6, which Go compiles (some minutes, once).
set -euo pipefail
cd "$(dirname "$0")/.."
# The last that Go 1.19 of Debian 12 compiles.
version=v0.48.0
command -v k6 >/dev/null 2>&1 && exit 0
[ ! -x build-k6/k6 ] || exit 0
# Debian's own first: it compiles this version.
go=/usr/bin/go
[ -x "$go" ] || go=$(command -v go || true)
if [ -z "$go" ]; then
    echo "k6.sh: neither k6 nor go is here; deploy/local/packages.sh loadtest installs Go" >&2
    exit 1
fi
echo "k6 is not here; go install go.k6.io/k6@$version compiles it into build-k6/, which takes some minutes"
mkdir -p build-k6
# Under another name until it is whole: a build that is cut off leaves none that would be taken for one.
GOBIN="$PWD/build-k6/new" GOFLAGS=-trimpath "$go" install "go.k6.io/k6@$version" >build-k6/install.log 2>&1 || {
    echo "k6.sh: go install failed; the last lines of build-k6/install.log:" >&2
    tail -n 10 build-k6/install.log >&2
    exit 1
}
mv build-k6/new/k6 build-k6/k6
rmdir build-k6/new
