#!/usr/bin/env bash
# tests/fuzz/run.sh [SECONDS] [TARGET...]: builds the fuzzers (preset fuzz), checks that every seed
# gets through what it is a seed of, then lets each target run for SECONDS (default 60) from its
# seeds and from what earlier runs found, one per core. Fails on a crash, a hang, a broken promise, or
# a target none of whose inputs were accepted; a bad input is then in build/fuzz/crashes/TARGET/, and
# `build/fuzz/bin/fuzz_TARGET FILE` repeats it. KLED_FUZZ_SEED (default 1; 0: another at each run) makes
# a run repeatable, so a short one fails for a change, not by chance.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/support/clang.sh

# ---- one target: prints its row, or the log of what went wrong

if [ "${1:-}" = --target ]; then
    target=$2 seconds=$3
    seeds=tests/fuzz/corpus/$target found=build/fuzz/corpus/$target crashes=build/fuzz/crashes/$target
    log=build/fuzz/$target.log
    mkdir -p "$found" "$crashes"
    failed() { printf 'FAILED: %s: %s\n' "$target" "$1"; tail -n 60 "$log"; exit 1; }
    build/fuzz/bin/fuzz_"$target"_seeds "$seeds" >"$log" 2>&1 || failed "a seed"
    build/fuzz/bin/fuzz_"$target" -seed="${KLED_FUZZ_SEED:-1}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -dict=tests/fuzz/dictionary/"$target" -max_len=16384 -print_final_stats=1 -artifact_prefix="$crashes/" \
        "$found" "$seeds" >"$log" 2>&1 || failed "an input"
    figure() { sed -n "$1" "$log" | tail -n 1; }
    accepted=$(figure 's/^accepted: \([0-9]*\) inputs$/\1/p')
    [ "${accepted:-0}" -gt 0 ] || failed "nothing that it tried was accepted"
    printf '%-14s %8s %9s %9s %9s %8s\n' "$target" "$seconds" "$(figure 's/^stat::number_of_executed_units: *//p')" \
        "$(figure 's/.* cov: \([0-9]*\).*/\1/p')" "$accepted" "$(find "$found" -type f | wc -l)"
    exit
fi

# ---- all of them

seconds=${1:-60}
[ $# -eq 0 ] || shift
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(sed -n 's/^kled_fuzz(\([a-z_]*\) .*/\1/p' tests/fuzz/CMakeLists.txt)
[ -f build/fuzz/build.ninja ] || fuzz_preset >/dev/null
programs=()
for target in "${targets[@]}"; do programs+=("fuzz_$target" "fuzz_${target}_seeds"); done
ninja -C build/fuzz --quiet "${programs[@]}"

printf '%-14s %8s %9s %9s %9s %8s\n' target seconds inputs coverage accepted corpus
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} "$0" --target {} "$seconds"
