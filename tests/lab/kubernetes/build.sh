#!/usr/bin/env bash
# Builds stock Kubernetes 1.34, etcd and kustomize from their Go modules into $KLED_LAB/bin
# (default ~/.cache/kled/lab; outside the tree, so a second run finds everything built).
#   build.sh [kubernetes|kubectl|etcd|kustomize|flux|s3|sops]...     default: all but flux, s3 and sops
# flux: Flux's kustomize-controller, and in $KLED_LAB/flux-crds the definitions that Flux ships.
# s3: versitygw, an S3 server over a folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab=${KLED_LAB:-$HOME/.cache/kled/lab}
export GOMODCACHE=$lab/gomod GOCACHE=$lab/gocache GOFLAGS=-modcacherw GOTOOLCHAIN=local CGO_ENABLED=0
mkdir -p "$lab/bin"

module() { awk -v m="$2" '$1 == m || $2 == m {print $NF; exit}' "$here/go/$1/go.mod"; }

go_build() { # go_build FOLDER STAMP LDFLAGS OUTPUT PACKAGE...
    local folder=$1 stamp=$lab/bin/.$2 ldflags=$3 output=$4 want; shift 4
    want=$(cat "$here/go/$folder/go.sum" "$here/go/$folder/go.mod" <(echo "$@" "$ldflags") | sha256sum)
    [ "$(cat "$stamp" 2>/dev/null)" != "$want" ] || return 0
    echo "building $* …"
    (cd "$here/go/$folder" && go build -trimpath -ldflags="-s -w $ldflags" -o "$output" "$@")
    echo "$want" >"$stamp"
}

kube_flags() {
    local x=k8s.io/component-base/version v
    v=$(module kube k8s.io/kubernetes)
    echo "-X $x.gitVersion=$v -X $x.gitMajor=1 -X $x.gitMinor=$(cut -d. -f2 <<<"$v") -X $x.gitTreeState=clean"
}

for what in "${@:-all}"; do
    case $what in all | kubectl) go_build kube kubectl "$(kube_flags)" "$lab/bin/" k8s.io/kubernetes/cmd/kubectl ;; esac
    case $what in all | kustomize)
        v=$(module kustomize sigs.k8s.io/kustomize/kustomize/v5)
        go_build kustomize kustomize "-X sigs.k8s.io/kustomize/api/provenance.version=$v" "$lab/bin/kustomize" sigs.k8s.io/kustomize/kustomize/v5 ;;
    esac
    case $what in all | etcd) go_build etcd etcd "" "$lab/bin/etcd" go.etcd.io/etcd/server/v3 ;; esac
    case $what in all | kubernetes)
        go_build kube kubernetes "$(kube_flags)" "$lab/bin/" \
            k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy} ;;
    esac
    case $what in s3) go_build versitygw versitygw "" "$lab/bin/versitygw" github.com/versity/versitygw/cmd/versitygw ;; esac
    case $what in sops) go_build sops sops "" "$lab/bin/sops" github.com/getsops/sops/v3/cmd/sops ;; esac
    case $what in flux)
        go_build flux kustomize-controller "" "$lab/bin/kustomize-controller" github.com/fluxcd/kustomize-controller
        mkdir -p "$lab/flux-crds"
        for it in "kustomize-controller@$(module flux github.com/fluxcd/kustomize-controller)" source-controller@v1.9.1; do
            folder=$(cd "$here/go/flux" && go mod download -json "github.com/fluxcd/$it" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
            install -m 644 "$folder"/config/crd/bases/*.yaml "$lab/flux-crds/"
        done ;;
    esac
done
