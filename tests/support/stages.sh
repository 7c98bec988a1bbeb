# Stages of a test run: each is timed, its output shown, and counted in one summary at the end.
# Sourced by ./dev.

passed=0 failed=0 rows=() started=$SECONDS

stage() { # stage NAME COMMAND...
    local name=$1 from=$SECONDS; shift
    printf '\n=== %s\n' "$name"
    if "$@"; then
        passed=$((passed + 1)); rows+=("$(printf '%-32s ok      %4d s' "$name" $((SECONDS - from)))")
    else
        failed=$((failed + 1)); rows+=("$(printf '%-32s FAILED  %4d s' "$name" $((SECONDS - from)))")
        # Nothing after a failed build can succeed.
        case $name in setup | "build "*) summary ;; esac
    fi
}

ctest_stage() { # ctest_stage NAME CTEST-ARGUMENTS... : counts the tests, not the run
    local name=$1 from=$SECONDS log status=0 total bad; shift
    log=$(mktemp)
    printf '\n=== %s\n' "$name"
    ctest "$@" --progress 2>&1 | tee "$log" | grep -vE '^ *[0-9]+/[0-9]+ Test +#|^ *Start ' || true
    status=${PIPESTATUS[0]}
    bad=$(sed -nE 's/.* ([0-9]+) tests? failed out of ([0-9]+).*/\1/p' "$log" | tail -1)
    total=$(sed -nE 's/.* ([0-9]+) tests? failed out of ([0-9]+).*/\2/p' "$log" | tail -1)
    rm -f "$log"
    if [ -z "$total" ]; then bad=1 total=1; fi
    [ "$status" = 0 ] || [ "$bad" != 0 ] || bad=1
    passed=$((passed + total - bad)) failed=$((failed + bad))
    rows+=("$(printf '%-32s %s %4d s   %d of %d' "$name" "$([ "$bad" = 0 ] && echo 'ok     ' || echo 'FAILED ')" $((SECONDS - from)) $((total - bad)) "$total")")
}

summary() { # prints the table and ends the script
    printf '\n'; printf '%s\n' "${rows[@]}"
    printf '%-32s         %4d s\n\n%d passed, %d failed\n' total $((SECONDS - started)) "$passed" "$failed"
    [ -z "${KLED_COUNTS:-}" ] || echo "$passed $failed" >>"$KLED_COUNTS"
    exit $((failed > 0))
}
