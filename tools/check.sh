#!/bin/sh
# The house rules that no compiler knows, over every tracked file.  One line a
# finding, exit 1 when there is any.  Needs git, python3 and gcc.
set -eu
cd "$(dirname "$0")/.."
bad=0

git ls-files -z | python3 tools/check_source.py || bad=1

# Every header compiles alone, so that the order of includes never matters.
# A test directory with statements of its own has its own enum of them.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cflags=$(pkg-config --cflags openssl libpq libcjson libevent libcurl)
git ls-files '*.h' >"$work/headers"
while IFS= read -r header; do
    [ -f "$header" ] || continue
    sql=$(dirname "$header")/test.sql
    [ -f "$sql" ] || sql=$(echo common/sql/*.sql)
    # shellcheck disable=SC2086 # lists of words on purpose
    python3 tools/sqlgen.py "$work/sql_gen.c" "$work/sql_gen.h" $sql
    # shellcheck disable=SC2086
    gcc -std=gnu11 -D_GNU_SOURCE -DCERTCTL_VERSION='"0"' -I. -I"$work" $cflags \
        -fsyntax-only -x c "$header" 2>"$work/err" || {
        bad=1
        echo "$header: does not compile alone:"
        grep -E 'error' "$work/err" | head -3 | sed 's/^/    /'
    }
done <"$work/headers"

python3 tools/cfgdoc.py --check || bad=1
[ $bad -eq 0 ] && echo "check: all rules hold"
exit $bad
