#!/bin/sh
# tests/fuzz/run.sh [SECONDS] [TARGET...]: builds the fuzzers (preset fuzz), checks that every seed
# gets through what it is a seed of, then lets each target run for SECONDS (default 60) from its
# seeds and from what earlier runs found. Fails on a crash, a hang, or a broken promise; the input
# is then in build/fuzz/crashes/TARGET/, and `build/fuzz/bin/fuzz_TARGET FILE` repeats it.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
targets=${*:-yaml json http kustomization mqtt git_tree}

[ -f build/fuzz/build.ninja ] || cmake --preset fuzz >/dev/null
built=
for target in $targets; do
    built="$built fuzz_$target fuzz_${target}_seeds"
done
ninja -C build/fuzz --quiet $built

failed=
printf '%-14s %8s %9s %9s %9s %8s\n' target seconds inputs coverage accepted corpus
for target in $targets; do
    seeds=tests/fuzz/corpus/$target
    found=build/fuzz/corpus/$target
    crashes=build/fuzz/crashes/$target
    log=build/fuzz/$target.log
    mkdir -p "$found" "$crashes"
    if ! build/fuzz/bin/fuzz_"$target"_seeds "$seeds" >"$log" 2>&1; then
        cat "$log"
        echo "FAILED: seeds of $target"
        failed="$failed $target"
        continue
    fi
    if ! build/fuzz/bin/fuzz_"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
            -dict=tests/fuzz/dictionary/"$target" -max_len=16384 -print_final_stats=1 -artifact_prefix="$crashes/" \
            "$found" "$seeds" >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "FAILED: $target"
        failed="$failed $target"
        continue
    fi
    inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    accepted=$(sed -n 's/^accepted: \([0-9]*\) inputs$/\1/p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
    printf '%-14s %8s %9s %9s %9s %8s\n' "$target" "$seconds" "$inputs" "$coverage" "${accepted:-0}" \
        "$(find "$found" -type f | wc -l)"
    if [ "${accepted:-0}" -eq 0 ]; then
        echo "FAILED: nothing that $target tried was accepted"
        failed="$failed $target"
    fi
done
[ -z "$failed" ] || { echo "FAILED:$failed"; exit 1; }
