#!/bin/bash
# Runs the test suite with Debian's nginx source and the module, both built with
# AddressSanitizer and UndefinedBehaviorSanitizer:
#
#     util/asan.sh [ARGUMENT OF prove | FILE]...
#
# Fails if a test fails, or if a report names code of the module.

set -euo pipefail
. "$(dirname "$0")/common.sh"

asan=$build/asan

"$root/util/packages.sh" test

mkdir -p "$asan"
lock_build

# nginx itself has the only runtime of UBSan.  Symbols that it shares with ASan
# are hidden: otherwise reports of UBSan would not get into the log file.
echo '{ local: __sanitizer_*; };' > "$asan/hidden"

sanitize=-fsanitize=address,undefined
ld_opt="$sanitize -static-libubsan -Wl,--version-script=$asan/hidden"
source=$(nginx_source)

build_sanitized "$source" "$asan/objs" "$ld_opt" $sanitize

unlock_build

make_reports asan

# Memory of nginx's core, of a configuration, and of the balancer "random" lives
# until exit by design.
printf 'leak:%s\n' ngx_init_cycle ngx_event_process_init \
    ngx_http_upstream_update_random ngx_stream_upstream_update_random \
    > "$reports/leaks"

# Test::Nginx expects commas and log_path in ASAN_OPTIONS.  An error aborts the
# process; leaks at exit do not change its exit code.
export ASAN_OPTIONS=log_path=$reports/asan,detect_odr_violation=0
ASAN_OPTIONS+=,abort_on_error=1,exitcode=0
export LSAN_OPTIONS=suppressions=$reports/leaks,print_suppressions=0
export UBSAN_OPTIONS=log_path=$reports/ubsan,print_stacktrace=1

status=0
test_sanitized "$asan/objs" "$@" || status=$?

# An error of the module: code of the module anywhere in a report of ASan, or at
# the place of the error in a report of UBSan.
ours='ngx_http_background[a-z_]*\.(c|h|so)\b'
mapfile -t named < <(
    find "$reports" -name 'asan.*' -exec grep -lE "$ours" {} +
    find "$reports" -name 'ubsan.*' \
        -exec grep -lE "^[^ ]*$ours:[0-9:]* runtime error" {} +
)

conclude "$status" "${named[@]}"
