#!/bin/sh
# Makes these files anew with gpg and new keys. The tests name the user ids and the texts.
set -eu
cd "$(dirname "$0")"
rm -f *.asc *.sig
export GNUPGHOME=$(mktemp -d)
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
g() { gpg --batch --yes --quiet --pinentry-mode loopback --trust-model always "$@"; }
make() { g --passphrase "$2" --quick-generate-key "$1" "$3" "$4" never; }
fingerprint() { g --list-keys --with-colons "$1@test" | sed -n 's/^fpr:::::::::\(.*\):/\1/p' | head -1; }
make curve@test '' ed25519 cert,sign
g --passphrase '' --quick-add-key "$(fingerprint curve)" cv25519 encrypt never
make rsa@test '' rsa2048 cert,sign
g --passphrase '' --quick-add-key "$(fingerprint rsa)" rsa2048 encrypt never
make locked@test secret rsa2048 default
make other@test '' ed25519 cert,sign
# A sub-key that signs; its primary key stays at home.
make subkey@test secret ed25519 cert
g --passphrase secret --quick-add-key "$(fingerprint subkey)" ed25519 sign never
for name in curve rsa; do
    g --passphrase '' --armor --export-secret-keys "$name@test" >"$name.asc"
    printf 'for %s' "$name" | g --armor --encrypt --recipient "$name@test" >"for-$name.asc"
    printf 'the data' | g --armor --detach-sign --local-user "$name@test" >"by-$name.sig"
done
g --passphrase secret --armor --export-secret-keys locked@test >locked.asc
g --armor --export curve@test rsa@test >public.asc
g --passphrase secret --armor --export-secret-subkeys subkey@test >subkey.asc
g --armor --export subkey@test >subkey-public.asc
printf 'the data' | g --armor --detach-sign --local-user other@test >by-other.sig
fingerprint curve >curve.fingerprint
