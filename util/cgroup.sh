#!/bin/bash
# Measures the effect of background CPU work on requests in a container, in a
# cgroup v1 with a CPU quota:
#
#     util/cgroup.sh [ROUNDS [SECONDS]]
#
# Compares the module's defaults, a budget for all workers and paced threads,
# with the same tasks without both.  Needs root and a writable cpu controller.

set -euo pipefail
. "$(dirname "$0")/common.sh"

for arg in "$@"; do
    number "$arg"
done

if [ -z "${TEST_NGINX_LOAD_MODULES-}" ]; then
    "$root/util/packages.sh" test
    "$root/util/build.sh"
    TEST_NGINX_LOAD_MODULES=$(modules "$build/objs" | paste -sd ' ')
fi

export TEST_NGINX_LOAD_MODULES
export TEST_NGINX_BINARY=${TEST_NGINX_BINARY:-$nginx}

exec perl -I "$root/t/lib" "$root/util/cgroup.pl" "$@"
