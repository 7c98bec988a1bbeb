#!/bin/sh
# make.sh SOPS: makes these files anew with the real program and a new key. The tests name the values.
set -eu
cd "$(dirname "$0")"
sops=$1
rm -f key.agekey
age-keygen -o key.agekey 2>/dev/null
recipient=$(age-keygen -y key.agekey)
encrypt() { "$sops" --config /dev/null encrypt --age "$recipient" "$@"; }

cat >plain.yaml <<'YAML'
apiVersion: v1
kind: Secret
metadata:
    name: login
stringData:
    # a comment
    password: hunter2
    pin: "0042"
    empty: ""
    lines: |
        one
        two
---
apiVersion: v1
kind: ConfigMap
metadata:
    name: mixed
data:
    count: 42
    ratio: 1.50
    whole: 3.0
    "on": true
    nothing: null
    list:
        - a
        # within
        - b: 1
    note_unencrypted: seen by all
YAML
encrypt plain.yaml >all.yaml
encrypt --encrypted-regex '^(data|stringData)$' plain.yaml >regex.yaml
cat >plain.sops <<YAML
creation_rules:
    - encrypted_regex: ^stringData$
      mac_only_encrypted: true
      age: $recipient
YAML
"$sops" --config plain.sops encrypt plain.yaml >mac-only.yaml
encrypt --unencrypted-suffix _plain --input-type json --output-type json /dev/stdin >some.json <<'JSON'
{"z": "last", "a": {"b": [1, 2.5, false, "x"], "c_plain": "seen"}}
JSON
printf 'USER=admin\n# comment\nPASSWORD=a=b\\nc\nEMPTY=\n' >plain.env
encrypt --input-type dotenv --output-type dotenv plain.env >some.env
printf 'any\nfile\n' >plain.txt
encrypt --input-type binary --output-type json plain.txt >some.txt
cat >plain.sops <<YAML
creation_rules:
    - unencrypted_comment_regex: public
      age: $recipient
YAML
"$sops" --config plain.sops encrypt plain.yaml >comment-rule.yaml

# For PGP keys: the one in key.asc, and another.
export GNUPGHOME=$(mktemp -d)
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
key() {
    gpg --batch --quiet --passphrase '' --quick-generate-key "$1" rsa2048 cert,sign never
    fingerprint=$(gpg --list-keys --with-colons "$1" | sed -n 's/^fpr:::::::::\(.*\):/\1/p' | head -1)
    gpg --batch --quiet --passphrase '' --quick-add-key "$fingerprint" rsa2048 encrypt never
    echo "$fingerprint"
}
other=$(key other@test)
ours=$(key ours@test)
gpg --batch --quiet --passphrase '' --pinentry-mode loopback --armor --export-secret-keys "$ours" >key.asc
pgp() { "$sops" --config /dev/null encrypt --pgp "$@"; }
pgp "$other,$ours" plain.yaml >pgp.yaml
pgp "$ours" --input-type dotenv --output-type dotenv plain.env >pgp.env
rm plain.*
