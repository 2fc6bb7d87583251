#!/bin/bash
# Makes the key pair that the secrets of issuers are sealed to; needs openssl(1).
#
#   issuer-secrets.sh DIR [NAME]    DIR/NAME.key, DIR/NAME.pem; NAME is issuer-secrets
#
# NAME.key holds the key and its certificate: copy it to the hosts of workers,
# owned by their user, and name it in CERTCTL_ISSUER_SECRETS_KEYS.  NAME.pem is
# the certificate alone: copy it to the hosts of apiservers and name it in
# CERTCTL_ISSUER_SECRETS_CERT.  What exists is never replaced: without its key
# nothing opens what was sealed to it.
set -euo pipefail

die() {
    echo "issuer-secrets.sh: $1" >&2
    exit 1
}

[ $# -eq 1 ] || [ $# -eq 2 ] || {
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
dir=$1 name=${2:-issuer-secrets}
[[ $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || die "\"$name\" is no name of a file"
[ ! -e "$dir/$name.key" ] || die "$dir/$name.key exists; give another name, and seal anew to that"
mkdir -p "$dir"
umask 077
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/$name.key.new" 2>/dev/null || die "cannot write $dir/$name.key"
# Its end is nobody's: a certificate here is a name for a key.
openssl req -x509 -new -key "$dir/$name.key.new" -days "${DAYS:-36500}" -config <(
    printf '%s\n' "[req]" "distinguished_name=dn" "x509_extensions=v3" "prompt=no" "[dn]" "CN=certctl issuer secrets" "[v3]" \
        "basicConstraints=critical,CA:FALSE" "keyUsage=critical,keyAgreement" "subjectKeyIdentifier=hash"
) -out "$dir/$name.pem.new" || die "openssl could not make the certificate"
cat "$dir/$name.pem.new" >>"$dir/$name.key.new"
chmod 644 "$dir/$name.pem.new"
mv "$dir/$name.pem.new" "$dir/$name.pem"
mv "$dir/$name.key.new" "$dir/$name.key"
echo "$dir/$name.key"
