#!/bin/bash
# The test suite on Debian's own nginx source, built with the module under
# ThreadSanitizer:
#
#     util/tsan.sh [ARGUMENT OF prove | FILE]...
#
# Fails if a test does, or if a report names the module's code where memory is
# accessed.  tsan.supp names nginx's own races.

set -euo pipefail
. "$(dirname "$0")/common.sh"

tsan=$build/tsan

# The unlocking of a spinlock and the end of a thread, on which nginx's main
# thread waits, are plain stores to volatile variables.  ThreadSanitizer would
# not know what happens before what, so they are made atomic ones.
# shellcheck disable=SC2317
make_source() (
    source=$(nginx_source)

    rm -rf "$tsan/new"
    cp -r "$source" "$tsan/new"
    cd "$tsan/new"

    change src/os/unix/ngx_atomic.h '\*(lock) = 0' \
        '__atomic_store_n(lock, 0, __ATOMIC_RELEASE)'
    change src/core/ngx_thread_pool.c '\*lock = 0' \
        '__atomic_store_n(lock, 0, __ATOMIC_RELEASE)'
    change src/core/ngx_thread_pool.c 'while (lock)' \
        'while (__atomic_load_n(\&lock, __ATOMIC_ACQUIRE))'

    mv "$tsan/new" "$tsan/nginx"
)

# change FILE OLD NEW
change() {
    grep -q "$2" "$1" || die "there is no \"$2\" in $1"
    sed -i "s/$2/$3/" "$1"
}

"$root/util/packages.sh" test

mkdir -p "$tsan"
exec 9> "$build/lock"
flock 9

[ -d "$tsan/nginx" ] || make_source

# its stores and loads are atomic ones, whose order fences strengthen
build_sanitized "$tsan/nginx" "$tsan/objs" -fsanitize=thread \
    -fsanitize=thread -Wno-tsan

flock -u 9

make_reports tsan

# Commas, as in asan.sh.  What is reported changes no exit code.
export TSAN_OPTIONS=log_path=$reports/tsan,suppressions=$root/util/tsan.supp
TSAN_OPTIONS+=,exitcode=0,history_size=7

status=0
test_sanitized "$tsan/objs" "$@" || status=$?

# Of each report the stacks of the accesses count, not where memory or a thread
# is from.  nginx writes its flags by plain stores; that a thread of the pool
# reads them is right as long as it does so atomically.
names_ours() {
    awk '/^WARNING/ { ours = atomic = flag = 0 }
         /^  [A-Z]/ { skip = /^  (Location|Mutex .* created|Thread|As if)/ }
         /^  .*tomic read / { atomic = 1 }
         /^  Location is global .ngx_(quit|terminate|exiting)\047/ { flag = 1 }
         /^    #/ && !skip && /ngx_http_background[a-z_]*\.[ch]:/ { ours = 1 }
         /^SUMMARY/ { found += ours && !(flag && atomic) }
         END { exit !found }' "$1"
}

named=()

for report in "$reports"/tsan.*; do
    [ ! -f "$report" ] || ! names_ours "$report" || named+=("$report")
done

conclude "$status" "${named[@]}"
