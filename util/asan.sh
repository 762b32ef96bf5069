#!/bin/bash
# The test suite on Debian's own nginx source, built with the module under
# AddressSanitizer and UndefinedBehaviorSanitizer:
#
#     util/asan.sh [ARGUMENT OF prove | FILE]...
#
# Fails if a test does, or if a report names the module's code.

set -euo pipefail
. "$(dirname "$0")/common.sh"

asan=$build/asan

"$root/util/packages.sh" test

mkdir -p "$asan"
exec 9> "$build/lock"
flock 9

# One runtime of UBSan, in nginx itself, for all.  What it has in common with
# ASan's stays hidden: otherwise its own reports would miss the log file.
echo '{ local: __sanitizer_*; };' > "$asan/hidden"

sanitize=-fsanitize=address,undefined
ld_opt="$sanitize -static-libubsan -Wl,--version-script=$asan/hidden"
source=$(nginx_source)

build_sanitized "$source" "$asan/objs" "$ld_opt" $sanitize

flock -u 9

make_reports asan

# Memory of nginx's core, and of a configuration, lives until exit by design.
printf 'leak:%s\n' ngx_init_cycle ngx_event_process_init > "$reports/leaks"

# Commas, and log_path in ASAN_OPTIONS, are as Test::Nginx wants them.  An error
# aborts; mere leaks at exit change no exit code.
export ASAN_OPTIONS=log_path=$reports/asan,detect_odr_violation=0
ASAN_OPTIONS+=,abort_on_error=1,exitcode=0
export LSAN_OPTIONS=suppressions=$reports/leaks,print_suppressions=0
export UBSAN_OPTIONS=log_path=$reports/ubsan,print_stacktrace=1

status=0
test_sanitized "$asan/objs" "$@" || status=$?

# An error of ours: for ASan, our code anywhere in the report; for UBSan, where
# it happened.
ours='ngx_http_background[a-z_]*\.(c|h|so)\b'
mapfile -t named < <(
    find "$reports" -name 'asan.*' -exec grep -lE "$ours" {} +
    find "$reports" -name 'ubsan.*' \
        -exec grep -lE "^[^ ]*$ours:[0-9:]* runtime error" {} +
)

conclude "$status" "${named[@]}"
