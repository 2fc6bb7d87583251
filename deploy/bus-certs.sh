#!/bin/bash
# Makes the CA of the bus and a certificate for each host; needs openssl(1).
#
#   bus-certs.sh DIR ca                   DIR/ca.pem, DIR/ca.key
#   bus-certs.sh DIR host NAME [ADDRESS]  DIR/NAME/bus.pem, DIR/NAME/bus.key, DIR/NAME/ca.pem
#
# NAME and ADDRESS (a second name, or an IP address) are what others put into
# CERTCTL_BUS_URLS for this host.  A host that exists is given a new key and
# certificate.  Keep ca.key off the hosts: whoever has it can join the bus.
#
# DAYS (825 a host, 3650 the CA) says how long they are valid.
set -euo pipefail

die() {
    echo "bus-certs.sh: $1" >&2
    exit 1
}

usage() {
    sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

make_key() { # FILE
    (umask 077 && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null) || die "cannot write $1"
}

make_ca() {
    [ ! -e "$dir/ca.key" ] || die "$dir/ca.key exists; a new CA cuts off every process until each has a new certificate, so move the old one away first"
    mkdir -p "$dir"
    make_key "$dir/ca.key"
    # Its own configuration: the system's would add extensions of its own.
    openssl req -x509 -new -key "$dir/ca.key" -days "${DAYS:-3650}" -config <(
        printf '%s\n' "[req]" "distinguished_name=dn" "x509_extensions=v3" "prompt=no" "[dn]" "CN=certctl bus CA" "[v3]" \
            "basicConstraints=critical,CA:TRUE,pathlen:0" "keyUsage=critical,keyCertSign,cRLSign" "subjectKeyIdentifier=hash"
    ) -out "$dir/ca.pem" || die "openssl could not make the CA's certificate"
    echo "$dir/ca.pem"
}

# Both forms for an address: some TLS libraries compare it with names only.
san() { # NAME...
    local name out=''
    for name in "$@"; do
        [[ $name =~ ^[A-Za-z0-9:][A-Za-z0-9.:-]*$ ]] || die "\"$name\" is no host name or address"
        out+="DNS:$name,"
        if [[ $name =~ ^[0-9.]+$ || $name == *:* ]]; then out+="IP:$name,"; fi
    done
    echo "${out%,}"
}

make_host() { # NAME [ADDRESS]
    local names host=$dir/$1
    names=$(san "$@")
    [ -r "$dir/ca.key" ] || die "there is no $dir/ca.key; make the CA first: bus-certs.sh $dir ca"
    mkdir -p "$host"
    make_key "$host/bus.key.new"
    openssl req -new -key "$host/bus.key.new" -subj "/CN=$1" |
        openssl x509 -req -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days "${DAYS:-825}" -sha256 -extfile <(
            printf '%s\n' "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" \
                "extendedKeyUsage=serverAuth,clientAuth" "subjectAltName=$names"
        ) -out "$host/bus.pem.new" 2>/dev/null || die "openssl could not sign the certificate of $1"
    cp "$dir/ca.pem" "$host/ca.pem"
    mv "$host/bus.key.new" "$host/bus.key"
    mv "$host/bus.pem.new" "$host/bus.pem"
    echo "$host/bus.pem"
}

[ $# -ge 2 ] || usage
dir=$1
case $2 in
ca)
    [ $# -eq 2 ] || usage
    make_ca
    ;;
host)
    [ $# -eq 3 ] || [ $# -eq 4 ] || usage
    make_host "${@:3}"
    ;;
*) usage ;;
esac
