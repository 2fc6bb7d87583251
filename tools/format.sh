#!/bin/sh
# Formats the C sources with the one pinned clang-format.
#   tools/format.sh check   exit 1 and a diff where the form differs
#   tools/format.sh fix     rewrite the files
set -eu
cd "$(dirname "$0")/.."
mode=${1:-}

format=$(command -v clang-format-14 || command -v clang-format || true)
if [ -z "$format" ]; then
    echo "format.sh: clang-format 14 is missing: apt-get install clang-format-14" >&2
    exit 2
fi
case $("$format" --version) in
*"version 14."*) ;;
*)
    echo "format.sh: clang-format 14 is needed, $format is another version" >&2
    exit 2
    ;;
esac

case $mode in
check)
    git ls-files -z '*.c' '*.h' |
        xargs -0 -r -n 50 -P "$(nproc)" "$format" --style=file --dry-run -Werror
    ;;
fix)
    git ls-files -z '*.c' '*.h' | xargs -0 -r "$format" --style=file -i
    ;;
*)
    echo "usage: tools/format.sh check|fix" >&2
    exit 2
    ;;
esac
