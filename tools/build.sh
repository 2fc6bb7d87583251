#!/bin/bash
# Compiles into build/ (or $BUILD_DIR): tools/build.sh [meson setup options]
# $TARGETS names what to build if that is not all.  With little memory it
# builds one file at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
# Debian's own meson, python and compilers first, whatever PATH holds.
export PATH="/usr/bin:/bin:$PATH"
dir=${BUILD_DIR:-build}
log=$dir-build.log
say_why() {
    echo "The build failed; the last lines of $log:" >&2
    tail -n 20 "$log" >&2
}
trap 'say_why' ERR
[ -e "$dir/build.ninja" ] || meson setup "$dir" "$@" >"$log" 2>&1
available=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
jobs=$(nproc)
[ "$available" -ge 1500 ] || jobs=1
read -ra targets <<<"${TARGETS:-}"
ninja -C "$dir" -j"$jobs" "${targets[@]}" >"$log" 2>&1
