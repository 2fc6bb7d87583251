#!/bin/sh
# Refuses warnings, runs clang-tidy and cppcheck over what a build directory
# compiles, and looks for functions that nobody calls.
#   tools/lint.sh BUILD_DIR [PATTERN]   only paths that contain PATTERN
set -eu
# As tools/build.sh does.
export PATH="/usr/bin:/bin:$PATH"
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-}
pattern=${2:-}
if [ ! -f "$build/compile_commands.json" ]; then
    echo "usage: tools/lint.sh BUILD_DIR [PATTERN]; $build has no compile_commands.json" >&2
    exit 2
fi
build=$(cd "$build" && pwd)
bad=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What the compiler warns of fails, in a build directory of its own, so that files
# compiled before are looked at too.
strict=$build-strict
if [ -z "$pattern" ]; then
    [ -e "$strict/build.ninja" ] || meson setup "$strict" "$root" --werror >/dev/null
    ninja -C "$strict" all meson-test-prereq >"$work/strict" 2>&1 || bad=1
    grep -E '(warning|error):' "$work/strict" || true
fi

# Ours only, each file once.
/usr/bin/python3 - "$build" "$root" "$work" "$pattern" <<'PY'
import json, os, sys
build, root, work, pattern = sys.argv[1:]
with open(build + "/compile_commands.json", encoding="utf-8") as f:
    commands = json.load(f)
kept, seen = [], set()
for c in commands:
    path = os.path.normpath(os.path.join(c["directory"], c["file"]))
    inside = path.startswith(root + "/") and not path.startswith(build + "/")
    if inside and path.endswith(".c") and path not in seen and pattern in path[len(root):]:
        seen.add(path)
        c["file"] = path
        kept.append(c)
with open(work + "/compile_commands.json", "w", encoding="utf-8") as f:
    json.dump(kept, f)
with open(work + "/files", "w", encoding="utf-8") as f:
    f.write("".join(path + "\0" for path in sorted(seen)))
PY
# The header of the statements is made by the build.
ninja -C "$build" common/sql/sql_gen.h >/dev/null

# One file a process: clang-tidy 14 mistakes va_lists from the second file on.
tidy=$(command -v clang-tidy-14 || command -v clang-tidy)
xargs -0 -r -P "$(nproc)" -n 1 "$tidy" -p "$work" --quiet --config-file="$root/.clang-tidy" \
    <"$work/files" >"$work/tidy" 2>"$work/tidy.err" || bad=1
grep -E '(warning|error):' "$work/tidy" | sed "s|^[^:]*${root#/}/||" | sort -u || true
# A file that clang cannot read at all says so on standard error only.
grep -E '^(error|Error)' "$work/tidy.err" || true

# Foreign headers are not read, so their macros that look like statements are
# given here.
cat >"$work/macros.h" <<'H'
#define HASH_ITER(hh, head, el, tmp) for ((tmp) = (el) = (head); (el); (el) = (tmp))
#define cJSON_ArrayForEach(el, list) for ((el) = (list)->child; (el); (el) = (el)->next)
H
cppcheck --include="$work/macros.h" \
    --project="$work/compile_commands.json" --enable=warning,performance,portability \
    --suppressions-list="$root/tools/cppcheck.txt" --inline-suppr --error-exitcode=1 \
    --quiet -j "$(nproc)" --template='{file}:{line}: {severity}: {message} [{id}]' \
    2>"$work/cpp" || bad=1
sed "s|^[^:]*${root#/}/||" "$work/cpp" | sort -u

[ -n "$pattern" ] || /usr/bin/python3 "$root/tools/check_unused.py" "$build"/*/libcertctl_*.a || bad=1
[ $bad -eq 0 ] && echo "lint: nothing found"
exit $bad
