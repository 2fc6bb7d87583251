#!/bin/sh
# The house rules that no compiler knows, over every tracked file.  One line a
# finding, exit 1 when there is any.  Needs git, python3 and gcc.
set -eu
cd "$(dirname "$0")/.."
bad=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

git ls-files -z | /usr/bin/python3 tools/check_source.py || bad=1

# Every header compiles alone, so that the order of includes never matters:
# many of them with each gcc, as many gcc as there are cores.
cflags=$(pkg-config --cflags openssl libpq libcjson libevent libcurl libcares)
headers_alone() { # STATEMENTS HEADERS: lists of files; the enum of statements is made of the first
    made=$(mktemp -d "$work/sql.XXXX")
    xargs /usr/bin/python3 tools/sqlgen.py "$made/sql_gen.c" "$made/sql_gen.h" <"$1"
    # shellcheck disable=SC2086 # a list of words on purpose
    xargs -r -P "$(nproc)" -n 16 gcc -std=gnu11 -D_GNU_SOURCE -DCERTCTL_VERSION='"0"' -I. "-I$made" $cflags \
        -Werror -fsyntax-only -x c <"$2" 2>>"$work/errors" || bad=1
}

git ls-files '*.h' | while IFS= read -r header; do
    [ ! -f "$header" ] || echo "$header"
done >"$work/headers"
# A test directory with statements of its own has its own enum of them.
git ls-files 'tests/*.sql' >"$work/own"
while IFS= read -r sql; do
    grep "^$(dirname "$sql")/[^/]*$" "$work/headers" >"$work/theirs" || continue
    grep -vxFf "$work/theirs" "$work/headers" >"$work/rest"
    mv "$work/rest" "$work/headers"
    echo "$sql" >"$work/statements"
    headers_alone "$work/statements" "$work/theirs"
done <"$work/own"
ls common/sql/*.sql >"$work/statements"
headers_alone "$work/statements" "$work/headers"
if [ -s "$work/errors" ]; then
    echo "a header does not compile alone:"
    grep -E 'error' "$work/errors" | head -n 20 | sed 's/^/    /'
fi

git ls-files -z 'tests/*.py' | xargs -0 /usr/bin/python3 tools/check_asserts.py || bad=1

/usr/bin/python3 tools/cfgdoc.py --check || bad=1
/usr/bin/python3 tools/rolesdoc.py --check || bad=1
/usr/bin/python3 tools/conditionsdoc.py --check || bad=1
[ $bad -eq 0 ] && echo "check: all rules hold"
exit $bad
