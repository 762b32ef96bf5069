#!/bin/bash
# Runs the parsers of untrusted data, t/fuzz/*.c, with random bytes by
# libFuzzer, AddressSanitizer, and UndefinedBehaviorSanitizer:
#
#     util/fuzz.sh [SECONDS | EXECUTIONSx] [TARGET]...
#
# Each target for 10 seconds by default; "10000000x" is ten million executions.
# Inputs that reach more code are kept in build/fuzz/corpus.

set -euo pipefail
. "$(dirname "$0")/common.sh"

limit=${1:-10}
number "${limit%x}" "seconds or executions"
shift || true

targets=("$@")

if [ $# -eq 0 ]; then
    for file in "$root"/t/fuzz/*.c; do
        target=$(basename "$file" .c)
        [ ! -d "$root/t/fuzz/seeds/$target" ] || targets+=("$target")
    done
fi

for target in "${targets[@]}"; do
    [ -d "$root/t/fuzz/seeds/$target" ] || die "there is no target \"$target\""
done

"$root/util/packages.sh" fuzz
"$root/util/build.sh"

fuzz=$build/fuzz
bin=$fuzz/bin

mkdir -p "$bin"
lock_build

source=$(nginx_source)

make -s --no-print-directory -j"$(nproc)" -C "$source" \
    -f "$root/t/fuzz/Makefile" objs="$build/objs" out="$bin" \
    "${targets[@]/#/$bin/}"

unlock_build

# older AddressSanitizers do not support all addresses that a kernel may choose
run=()
! setarch -R true 2> /dev/null || run=(setarch -R)

# fuzz TARGET: runs the target and prints the result
fuzz() {
    local target=$1 corpus=$fuzz/corpus/$1 log=$fuzz/$1.log options=() status=0

    mkdir -p "$corpus"

    case $limit in
        *x) options=(-runs="${limit%x}") ;;
        *)  options=(-max_total_time="$limit") ;;
    esac

    if [ -f "$root/t/fuzz/$target.dict" ]; then
        options+=(-dict="$root/t/fuzz/$target.dict")
    fi

    "${run[@]}" "$bin/$target" "${options[@]}" -max_len=2048 -timeout=60 \
        -print_final_stats=1 -artifact_prefix="$fuzz/$target-" \
        "$corpus" "$root/t/fuzz/seeds/$target" > "$log" 2>&1 < /dev/null ||
        status=$?

    awk -v target="$target" -v status="$status" '
        /^stat::number_of_executed_units:/ { runs = $2 }
        /^Done .* runs in / { seconds = $(NF - 1) }
        match($0, / cov: [0-9]+/) { cov = substr($0, RSTART + 6, RLENGTH - 6) }
        END {
            printf "%-15s %10d executions in %5d s, %7d a second, " \
                   "coverage %5d: %s\n", target, runs, seconds,
                   seconds ? runs / seconds : runs, cov,
                   status ? "REPORT" : "no report"
        }' "$log"

    if [ "$status" -ne 0 ]; then
        grep -E 'ERROR|runtime error|not true' "$log" >&2 || true
        sed -n 's/.*Test unit written to /input: /p' "$log" >&2
        echo "log: $log" >&2
    fi

    return "$status"
}

status=0

for target in "${targets[@]}"; do
    fuzz "$target" || status=1
done

exit $status
