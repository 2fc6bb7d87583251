#!/bin/bash
# Every test of the project, part by part, one line each; what `make test`
# runs.  Ends with the line "N passed, N failed" (and ", N skipped" when there
# are any); exit status 1 on any failure.
#
#   tools/test.sh              all parts
#   tools/test.sh PART...      only these: build style units asan-build asan-units
#                              asan (both) fuzz integration integration-asan chaos loadtest
#
# Logs are in build/test-logs/.  FUZZ_SECONDS (5) a target, CHAOS_KILLS (12),
# LOADTEST_DURATION (10s).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
# Debian's own tools first, whatever PATH holds.
export PATH="/usr/bin:/bin:/usr/sbin:/sbin:$PATH"
# What pytest makes of a test file, once for all who collect it, and not into the checkout.
export PYTHONPYCACHEPREFIX=$PWD/build/pycache
unset PYTHONDONTWRITEBYTECODE
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=0:detect_stack_use_after_return=0}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=\"$PWD/tests/support/lsan.supp\":print_suppressions=0}
logs=build/test-logs
# Sanitized code is compiled in half the time with -O1 and the lines alone of -g, and looks for the same.
asan=("-Db_sanitize=address,undefined" -Db_lundef=false -Doptimization=1 -Dc_args=-g1)
fuzz=(-Dfuzz=true "-Dfuzz_seconds=${FUZZ_SECONDS:-5}")
started=$SECONDS

# Several compilers at once need memory; the tests' programs are small.
jobs=$(nproc)
[ "$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)" -ge 1500 ] || jobs=1

# The integration tests wait for more than half of their time: three files a core at once, where each has a GiB and a quarter of memory.
planes=$(awk -v cores="$(nproc)" '/^MemAvailable:/ { n = int($2 / 1310720); least = cores + 1; most = 3 * cores
    print (n < least ? least : n > most ? most : n) }' /proc/meminfo)

# What failed in a log of pytest or meson, by name, with the end of any other: it is said again at the end of all, where
# whoever is shown only that finds it.
name_failures() { # NAME LOG
    local named
    named=$(grep -E '^(FAILED|ERROR) |^ *[0-9]+/[0-9]+ .* (FAIL|TIMEOUT|ERROR|UNEXPECTEDPASS) ' "$2" | sort -u | head -n 20)
    sed "s/^/$1: /" <<<"${named:-$(tail -n 1 "$2")}" | cut -c 1-240
}

# What was skipped and why, a line a reason: a number alone may hide what ought to have run.
name_skips() { # NAME LOG
    awk -v part="$1" '
        /^SKIPPED \[/ { n = $2; gsub(/[^0-9]/, "", n); sub(/^SKIPPED \[[0-9]+\] [^ ]+: (skipped: )?/, ""); count[substr($0, 1, 150)] += n }
        /^ *[0-9]+\/[0-9]+ .* SKIP / { sub(/^ *[0-9]+\/[0-9]+ /, ""); sub(/ +SKIP .*/, ""); count[$0]++ }
        END { for (why in count) printf "skipped in %s: %d, %s\n", part, count[why], why }' "$2" | sort
}

# part NAME LOG SECONDS PASSED FAILED SKIPPED: prints the line and keeps the numbers; parts that run at the same time do so one after another.
part() {
    {
        flock 9
        printf '%-18s %4d passed, %d failed%s  %4d s\n' "$1" "$4" "$5" \
            "$([ "$6" -eq 0 ] || echo ", $6 skipped")" "$3"
        # Nobody may be left to look into the log afterwards.
        if [ "$5" -ne 0 ]; then
            tail -n 200 "$2" | sed 's/^/    /'
            name_failures "$1" "$2" >>"$logs/failures"
        fi
        [ "$6" -eq 0 ] || name_skips "$1" "$2" >>"$logs/skips"
        echo "$4 $5 $6" >&9
    } 9>>"$logs/counts"
}

# One command, one test.
step() { # NAME COMMAND...
    local name=$1 log=$logs/$1.log from=$SECONDS
    shift
    if "$@" >"$log" 2>&1; then
        part "$name" "$log" $((SECONDS - from)) 1 0 0
    else
        part "$name" "$log" $((SECONDS - from)) 0 1 0
        return 1
    fi
}

# The last number before or after a word in a log, or 0.
number() { # LOG PATTERN
    local n
    n=$(grep -oE "$2" "$1" | tail -n 1 | grep -oE '[0-9]+')
    echo "${n:-0}"
}

build() { # DIR OPTIONS...
    local dir=$1
    shift
    BUILD_DIR=$dir tools/build.sh "$@" && ninja -C "$dir" -j"$jobs" meson-test-prereq
}

# The test files are read once before several would read them at the same time, and then what the sanitizers look at is compiled.
build_asan() { # OPTIONS...
    TEST_ONCE='' BUILD_DIR=build /usr/bin/python3 -m pytest -q --collect-only tests/integration >/dev/null
    build build-asan "$@"
}

# Clang compiles what is searched: the rest is gcc's, twice.
build_fuzz() { # OPTIONS...
    CC=clang BUILD_DIR=build-fuzz TARGETS=fuzz_targets tools/build.sh "$@"
}

# A build that runs beside tests ends with this script, however that ends.
ahead=
trap '[ -z "$ahead" ] || kill -- "-$ahead" 2>/dev/null' EXIT

# What a later part needs is compiled behind the tests of earlier ones, which wait
# more than they reckon, in time that nobody else wants.  That part
# builds what is left and says how that went.
build_ahead() { # LOG FUNCTION ARGUMENTS...
    export -f build build_asan build_fuzz
    export jobs
    # Where each session is a group of its own to the kernel, that has a niceness as well.
    setsid nice -n 19 bash -c 'echo 19 >/proc/self/autogroup; "$@"' - "${@:2}" >"$logs/$1.log" 2>&1 &
    ahead=$!
}

# Two at once in one folder would disturb each other.
await_ahead() {
    [ -n "$ahead" ] || return 0
    wait "$ahead"
    ahead=
}

meson_tests() { # NAME DIR ARGUMENTS...
    local name=$1 dir=$2 log=$logs/$1.log from=$SECONDS ok bad
    shift 2
    # More at once than there are cores: much of it only waits.
    meson test -C "$dir" --no-rebuild --print-errorlogs --num-processes $((2 * $(nproc))) "$@" >"$log" 2>&1
    ok=$(number "$log" '^Ok: +[0-9]+')
    bad=$(($(number "$log" '^Fail: +[0-9]+') + $(number "$log" '^Timeout: +[0-9]+') + $(number "$log" '^Unexpected Pass: +[0-9]+')))
    # Nothing ran: that is a failure as well.
    [ "$ok" -gt 0 ] || bad=$((bad + 1))
    part "$name" "$log" $((SECONDS - from)) "$ok" "$bad" "$(number "$log" '^Skipped: +[0-9]+')"
}

pytests() { # NAME BUILD_DIR
    local name=$1 log=$logs/$1.log from=$SECONDS ok bad
    BUILD_DIR=$2 /usr/bin/python3 -m pytest -q -n "$planes" --dist loadfile tests/integration >"$log" 2>&1
    local status=$?
    ok=$(number "$log" '[0-9]+ passed')
    bad=$(($(number "$log" '[0-9]+ failed') + $(number "$log" '[0-9]+ error')))
    [ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    part "$name" "$log" $((SECONDS - from)) "$ok" "$bad" "$(number "$log" '[0-9]+ skipped')"
}

chaos() {
    local log=$logs/chaos.log from=$SECONDS line ms
    BUILD_DIR=build /usr/bin/python3 tests/chaos/chaos.py --kills "${CHAOS_KILLS:-12}" --budget 300 >"$log" 2>&1
    local status=$?
    line=$(grep '^chaos: ' "$log" | tail -n 1)
    ms=$(grep -oE '[0-9]+$' <<<"$line")
    # Time is reported, not judged: this machine may be busy with other things.
    if [ $status -eq 0 ]; then
        part chaos "$log" $((SECONDS - from)) 1 0 0
        echo "    $line"
        grep '^scenes: ' "$log" | sed 's/^/    /'
        [ "${ms:-0}" -le 2000 ] || echo "    (recovery took longer than 2 s; seen on a busy machine)"
    else
        part chaos "$log" $((SECONDS - from)) 0 1 0
    fi
}

run_part() {
    case $1 in
    build) step build build build ;;
    style)
        step check tools/check.sh
        step format tools/format.sh check
        step unused bash -c '/usr/bin/python3 tools/check_unused.py build/*/libcertctl_*.a'
        ;;
    # A limit finds what hangs; it does not judge how much else the machine has to do.
    units) meson_tests units build --timeout-multiplier 4 ;;
    asan) run_parts asan-build asan-units ;;
    asan-build) step asan-build build build-asan "${asan[@]}" ;;
    asan-units) meson_tests asan-units build-asan --suite unit --suite sim --suite fuzz --timeout-multiplier 4 ;;
    fuzz) step fuzz-build build_fuzz "${fuzz[@]}" && meson_tests fuzz build-fuzz --suite fuzz ;;
    integration) pytests integration build ;;
    integration-asan) pytests integration-asan build-asan ;;
    chaos) chaos ;;
    # With k6 where it is, and else with the project's own generator: compiling k6 takes longer than all of this.
    loadtest)
        step loadtest env BUILD_DIR=build /usr/bin/python3 -B deploy/test/loadtest/loadtest.py agent bulk \
            --duration "${LOADTEST_DURATION:-10s}" --artifacts build/loadtest
        ;;
    *)
        echo "test.sh: there is no part \"$1\"" >&2
        exit 2
        ;;
    esac
}

# Whatever becomes of one of them.
run_parts() {
    local p
    for p in "$@"; do run_part "$p"; done
}

# Unit tests have times of milliseconds in them, so nothing is tested beside them; what is searched for so many seconds, and what
# tells a time, has the machine alone.
# What the sanitizers look at is tested with them alone, but for what says PLAIN_TOO: as a part by its name, integration is all of it.
run_all() {
    export TEST_ONCE=1
    run_part build || return
    build_ahead ahead-asan build_asan "${asan[@]}"
    run_parts units style integration
    await_ahead
    run_part asan-build
    build_ahead ahead-fuzz build_fuzz "${fuzz[@]}"
    run_parts asan-units integration-asan
    await_ahead
    run_parts fuzz chaos loadtest
}

main() {
    mkdir -p "$logs"
    : >"$logs/counts"
    : >"$logs/failures"
    : >"$logs/skips"
    if [ $# -gt 0 ]; then run_parts "$@"; else run_all; fi

    read -r passed failed skipped < <(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$logs/counts")
    cat "$logs/skips"
    sed 's/^/failed in /' "$logs/failures"
    echo "$((SECONDS - started)) s, logs in $logs"
    echo "$passed passed, $failed failed$([ "$skipped" -eq 0 ] || echo ", $skipped skipped")"
    [ "$failed" -eq 0 ]
}

# Read to its end before anything runs: whoever changes this file meanwhile changes the next run, not the rest of this one.
main "$@"; exit
