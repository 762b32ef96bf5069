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

version=$(source_version nginx)
source=$asan/nginx-${version#*:}

if [ ! -d "$source" ]; then
    echo "fetching the source of nginx $version"
    quietly "$asan/fetch.log" fetch_source nginx "$version" "$source"
fi

# One runtime of UBSan, in nginx itself, for all.  What it has in common with
# ASan's stays hidden: otherwise its own reports would miss the log file.
echo '{ local: __sanitizer_*; };' > "$asan/hidden"

sanitize=-fsanitize=address,undefined
ld_opt="$sanitize -static-libubsan -Wl,--version-script=$asan/hidden"

# -z nodelete: a report at exit names functions of a module unloaded by then
CC=gcc build_nginx "$source" /usr/share/nginx-ndk/src "$asan/objs" \
    "$ld_opt -Wl,-z,nodelete" $sanitize -g -O1 -fno-omit-frame-pointer \
    -DNGX_DEBUG_PALLOC=1 -Wno-error

flock -u 9

# Workers of any user write and read here, hence not in the tree.
reports=$(mktemp -d "${TMPDIR:-/tmp}/ngx_http_background_asan.XXXXXX")
trap 'rm -rf "$reports"' EXIT
chmod 1777 "$reports"

# Memory of nginx's core, and of a configuration, lives until exit by design.
printf 'leak:%s\n' ngx_init_cycle ngx_event_process_init > "$reports/leaks"

# Commas, and log_path in ASAN_OPTIONS, are as Test::Nginx wants them.  An error
# aborts; mere leaks at exit change no exit code.
export ASAN_OPTIONS=log_path=$reports/asan,detect_odr_violation=0
ASAN_OPTIONS+=,abort_on_error=1,exitcode=0
export LSAN_OPTIONS=suppressions=$reports/leaks,print_suppressions=0
export UBSAN_OPTIONS=log_path=$reports/ubsan,print_stacktrace=1

export BACKGROUND_ASAN=1
export TEST_NGINX_TIMEOUT=${TEST_NGINX_TIMEOUT:-10}
export TEST_NGINX_BINARY=$asan/objs/nginx
TEST_NGINX_LOAD_MODULES=$(modules "$asan/objs" | paste -sd ' ')
export TEST_NGINX_LOAD_MODULES

status=0
"$root/util/test.sh" "$@" || status=$?

# An error of ours: for ASan, our code anywhere in the report; for UBSan, where
# it happened.
ours='ngx_http_background[a-z_]*\.(c|h|so)\b'
total=$(find "$reports" -mindepth 1 -name '*san*' | wc -l)
mapfile -t named < <(
    find "$reports" -name 'asan*' -exec grep -lE "$ours" {} +
    find "$reports" -name 'ubsan*' \
        -exec grep -lE "^[^ ]*$ours:[0-9:]* runtime error" {} +
)

if [ ${#named[@]} -gt 0 ]; then
    cat "${named[@]}" >&2
    status=1
fi

echo "sanitizers: reports of ${#named[@]} processes name the module's code," \
    "of $((total - ${#named[@]})) others nginx's own only"
exit $status
