#!/usr/bin/env bash
# Checks the flake without the network, against a stand-in for nixpkgs (./nixpkgs): its outputs for all
# systems, the NixOS module, and, without --eval, the builds. It proves the flake's logic, not that
# nixpkgs' own versions of the libraries compile. Builds in a store of its own below KLED_NIX_ROOT.
#   check.sh [--eval]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
command -v nix >/dev/null || { echo "SKIPPED the flake: no nix here (./dev setup --full brings it)"; exit 0; }

work=${KLED_NIX_ROOT:-$HOME/.cache/kled/nix}
mkdir -p "$work/conf"
cat >"$work/conf/nix.conf" <<TEXT
experimental-features = nix-command flakes
build-users-group =
sandbox = false
substituters =
flake-registry =
warn-dirty = false
TEXT
export NIX_CONF_DIR=$work/conf NIX_STATE_DIR=$work/var NIX_LOG_DIR=$work/log

# A copy of the tracked files: a flake in a Git work tree would need all of it committed.
flake=$(mktemp -d); trap 'rm -rf "$flake"' EXIT
git -C "$root" ls-files -z | (cd "$root" && xargs -0 cp --parents -t "$flake" 2>/dev/null) || true
offline=(--offline --no-write-lock-file --override-input nixpkgs "path:$here/nixpkgs")
# The warning that the lock file is overridden is the point here, and said fifty times.
n() { nix "$@" 2> >(grep -vE "^warning: not writing modified lock|^• Updated input|^    'github:|^  → |^evaluating flake" >&2); }

n flake check "${offline[@]}" --no-build "path:$flake"
for output in packages.x86_64-linux.{default,kled,kled-agent,kled-aarch64,kled-agent-aarch64} packages.aarch64-linux.{default,kled,kled-agent} \
    checks.x86_64-linux.kled devShells.x86_64-linux.default devShells.aarch64-linux.default; do
    n eval "${offline[@]}" --raw "path:$flake#$output.drvPath" >/dev/null || { echo "flake: $output does not evaluate" >&2; exit 1; }
done
n eval "${offline[@]}" --raw "path:$flake#apps.x86_64-linux.demo.program" >/dev/null
unit=$(n eval "${offline[@]}" --impure --raw --expr "
    let
      flake = builtins.getFlake \"path:$flake\";
      lib = import $here/nixpkgs/lib.nix;
      module = import $flake/nix/module.nix { packages.x86_64-linux.kled-agent = \"/agent\"; };
      result = module {
        inherit lib;
        config.services.kled-agent = { enable = true; package = \"/agent\"; tokenFile = null; processRuntime = true; extraFlags = [ ]; };
        pkgs.stdenv.hostPlatform.system = \"x86_64-linux\";
      };
    in result.config.systemd.services.kled-agent.serviceConfig.ExecStart")
[ "$unit" = "/agent/bin/kled-agent run --state /var/lib/kled-agent --enable-process-runtime" ] || { echo "flake: the module makes '$unit'" >&2; exit 1; }
echo "the flake evaluates: packages, cross packages, checks, shells, app, module"
[ "${1:-}" != --eval ] || exit 0

export KLED_NIX_CCACHE=${CCACHE_DIR:-$HOME/.cache/ccache}
export KLED_NIX_SYSROOT=${KLED_SYSROOT:-$HOME/.cache/kled/sysroot-arm64}
for output in default kled-agent kled-agent-aarch64; do
    # Not --print-out-paths: Debian's nix is older than that.
    path=$(n build "${offline[@]}" --impure -L --no-link --json "path:$flake#$output" | sed -n 's/.*"out":"\([^"]*\)".*/\1/p')
    [ -n "$path" ] || { echo "flake: $output does not build" >&2; exit 1; }
    echo "$output: $path"
    file -L "$path"/bin/* 2>/dev/null || ls -l "$path/bin"
done
