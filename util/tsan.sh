#!/bin/bash
# Runs the test suite with Debian's nginx source and the module, both built with
# ThreadSanitizer:
#
#     util/tsan.sh [ARGUMENT OF prove | FILE]...
#
# Fails if a test fails, or if a report names code of the module where memory is
# accessed.  tsan.supp lists races of nginx itself.

set -euo pipefail
. "$(dirname "$0")/common.sh"

tsan=$build/tsan

# The unlocking of a spinlock and the end of a thread, on which nginx's main
# thread waits, are plain stores to volatile variables.  They are replaced by
# atomic stores, so that ThreadSanitizer knows the order.
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
lock_build

[ -d "$tsan/nginx" ] || make_source

# stores and loads become atomic; fences make their order stronger
build_sanitized "$tsan/nginx" "$tsan/objs" -fsanitize=thread \
    -fsanitize=thread -Wno-tsan

unlock_build

make_reports tsan

# Commas, as in asan.sh.  Reports do not change the exit code.
export TSAN_OPTIONS=log_path=$reports/tsan,suppressions=$root/util/tsan.supp
TSAN_OPTIONS+=,exitcode=0,history_size=7

status=0
test_sanitized "$tsan/objs" "$@" || status=$?

# Only the stacks of the accesses in a report count, not those of allocations
# and thread creation.  nginx writes flags by plain stores, which threads of
# the pool may read atomically.
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
