#!/bin/bash
# Installs what is missing of a group of Debian packages, and nothing else.
#
#   packages.sh run      to build and run (make up)
#   packages.sh sim      also what simulated CAs need (make up SIM=1)
#   packages.sh test     also what the tests need (make test): with it what Debian
#                        has not, by tools/venv.sh
#   packages.sh acme     also the ACME clients (make acme-rfc-conformance-test)
#   packages.sh loadtest what the load tests need (make loadtest): with it what Debian
#                        has not, by tools/k6.sh
#   packages.sh list G   prints the names, one a line
#
# With everything present neither apt, sudo nor pip runs.  While apt runs, new
# packages may start no service and create no database cluster: both settings
# are made before and taken back after, whatever happens.
set -euo pipefail

RUN=(gcc libc6-dev make meson ninja-build pkg-config python3
    libnng-dev libpq-dev libcjson-dev libssl-dev libevent-dev
    libcurl4-openssl-dev libc-ares-dev libidn2-dev libyaml-dev libncurses-dev uthash-dev openssl ca-certificates
    nginx runit procps iproute2)
SIM=(python3-cryptography)
TEST=(python3-pytest python3-pytest-xdist python3-psycopg2 python3-yaml
    python3-hypothesis python3-jsonschema python3-pyte
    clang clang-format clang-tidy cppcheck libclang-rt-14-dev llvm
    valgrind wrk curl git faketime pgbouncer prometheus golang-go golang-golang-x-crypto-dev python3-venv pebble lego uacme zsh fish)
ACME=(certbot dehydrated apache2-bin caddy)
LOADTEST=(python3-psycopg2 golang-go git apache2-bin haproxy wrk)

usage() {
    echo "usage: packages.sh run|sim|test|acme|loadtest|list GROUP" >&2
    exit 2
}

# Any PostgreSQL from 15 on serves.
has_postgresql() {
    local postgres version
    for postgres in /usr/lib/postgresql/*/bin/postgres; do
        [ -x "$postgres" ] || continue
        version=${postgres#/usr/lib/postgresql/}
        version=${version%%/*}
        [ "$version" -ge 15 ] 2>/dev/null && return 0
    done
    return 1
}

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

group() {
    case $1 in
    run) printf '%s\n' "${RUN[@]}" postgresql ;;
    sim) printf '%s\n' "${RUN[@]}" postgresql "${SIM[@]}" ;;
    test) printf '%s\n' "${RUN[@]}" postgresql "${SIM[@]}" "${TEST[@]}" ;;
    acme) printf '%s\n' "${RUN[@]}" postgresql "${SIM[@]}" "${TEST[@]}" "${ACME[@]}" ;;
    loadtest) printf '%s\n' "${RUN[@]}" postgresql "${SIM[@]}" "${LOADTEST[@]}" ;;
    *) usage ;;
    esac
}

missing() {
    local name
    while read -r name; do
        case $name in
        postgresql) has_postgresql || echo postgresql ;;
        # Any nginx and any git or curl serves, wherever it came from.
        nginx | git | curl | make | wrk | haproxy) command -v "$name" >/dev/null 2>&1 || [ -x "/usr/sbin/$name" ] || echo "$name" ;;
        *) is_installed "$name" || echo "$name" ;;
        esac
    done < <(group "$1")
}

# Both say who made them: this process, by its number and when it began.  The
# policy ends with its maker, so one that was killed holds no service back.
began=$(cut -d' ' -f22 "/proc/$$/stat")
mark="Made by certctl's deploy/local/packages.sh"
policy=/usr/sbin/policy-rc.d
cluster_dir=/etc/postgresql-common/createcluster.d
cluster_conf=$cluster_dir/zz-certctl-none.conf
lock=/run/certctl-packages.lock
made_policy=''
made_dir=''
# Whether that file is one of ours, of this run or of one that was killed.
is_ours() {
    [ -f "$1" ] && [ ! -L "$1" ] && grep -qF "$mark" "$1"
}
# shellcheck disable=SC2317,SC2329 # called by the trap
undo() {
    [ -z "$made_policy" ] || rm -f "$policy"
    ! is_ours "$cluster_conf" || rm -f "$cluster_conf"
    [ -z "$made_dir" ] || rmdir "$cluster_dir" 2>/dev/null || :
}

write_policy() {
    cat >"$policy.new" <<EOF
#!/bin/sh
# $mark: no service starts while process $$ installs.
[ "\$(cut -d' ' -f22 /proc/$$/stat 2>/dev/null)" != $began ] || exit 101
exit 0
EOF
    chmod 755 "$policy.new"
    mv -f "$policy.new" $policy
}

# Runs as root: apt with services and clusters held back.
install_as_root() {
    # One after the other: the first to end would take the policy away.
    exec 9>"$lock"
    flock 9
    trap undo EXIT
    if [ ! -e $policy ] || is_ours $policy; then
        write_policy
        made_policy=yes
    fi
    if [ ! -d $cluster_dir ]; then
        mkdir -p $cluster_dir
        made_dir=yes
    fi
    printf '# %s\ncreate_main_cluster = false\n' "$mark" >$cluster_conf
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update 9>&-
    apt-get -q install -y --no-install-recommends "$@" 9>&-
}

[ $# -ge 1 ] || usage
if [ "$1" = list ]; then
    [ $# -eq 2 ] || usage
    group "$2"
    exit 0
fi
if [ "$1" = --as-root ]; then
    shift
    install_as_root "$@"
    exit 0
fi

mapfile -t names < <(missing "$1")
# The last step, whether apt had something to do or not.  What pip cannot get costs
# its own test alone, which says so: PyPI is not reached from everywhere.
finish() {
    [ "$1" != loadtest ] || "$(dirname "$0")/../../tools/k6.sh" || exit 1
    [ "$1" != test ] || "$(dirname "$0")/../../tools/venv.sh" ||
        echo "pkilint is missing: its test will be skipped; tools/venv.sh tries again"
    exit 0
}
if [ ${#names[@]} -eq 0 ]; then
    finish "$1"
fi
self=$(readlink -f "$0")
line="apt-get install -y --no-install-recommends ${names[*]}"
[ "$(id -u)" -eq 0 ] || line="sudo $line"
echo "Missing packages; they are installed with: $line"
# Of a name that nobody can have made before; it goes when all went well.
log=$(mktemp --tmpdir certctl-packages.XXXXXXXX.log)

failed() {
    echo "FAILED at packages: $1"
    echo "  To fix it: $2"
    echo "  Log: $log; its last lines:"
    tail -n 10 "$log" 2>/dev/null | sed 's/^/    /'
    exit 1
}

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || failed 'sudo is not here' 'run the line above as root, then try again'
    # A password, if one is needed, is asked for before the output is put away.
    sudo -v || failed 'sudo was refused' 'run the line above as root, then try again'
    as_root=(sudo --)
fi

started=$SECONDS
"${as_root[@]}" "$self" --as-root "${names[@]}" </dev/null >>"$log" 2>&1 &
apt=$!
told=0
while kill -0 "$apt" 2>/dev/null; do
    sleep 0.5
    passed=$((SECONDS - started))
    if [ "$passed" -ge 3 ] && [ "$passed" -ge "$told" ]; then
        echo "  ... packages: waiting for apt ($passed s)"
        told=$((passed + 15))
    fi
done
wait "$apt" || failed 'apt-get did not succeed' 'see the log; is there a network? Or install by hand with the line above'
rm -f "$log"
printf '%7.1f s  %-12s %s\n' "$((SECONDS - started))" packages "${#names[@]} named, and what they need"
finish "$1"
