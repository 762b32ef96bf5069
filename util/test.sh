#!/bin/bash
# Installs what is missing, builds, and runs the test suite:
#
#     util/test.sh [ARGUMENT OF prove | FILE]...
#
# An nginx built elsewhere is tested if TEST_NGINX_BINARY and
# TEST_NGINX_LOAD_MODULES (paths, ndk_http_module.so first) name it.

set -euo pipefail
. "$(dirname "$0")/common.sh"

if [ -z "${TEST_NGINX_LOAD_MODULES-}" ]; then
    "$root/util/packages.sh" test
    "$root/util/build.sh"
    TEST_NGINX_LOAD_MODULES=$(modules "$build/objs" | paste -sd ' ')
fi

# a port (and the nineteen after it) and a folder for each run: runs of others
# don't disturb
until [ -n "${TEST_NGINX_PORT-}" ]; do
    port=$((20000 + RANDOM % 500 * 20))
    (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null || TEST_NGINX_PORT=$port
done

servroot=$(mktemp -d "${TMPDIR:-/tmp}/ngx_http_background_test.XXXXXX")

export TEST_NGINX_LOAD_MODULES TEST_NGINX_PORT
export TEST_NGINX_BINARY=${TEST_NGINX_BINARY:-$nginx}
export TEST_NGINX_SERVROOT=$servroot/servroot

cd "$root"

if prove -I t/lib "$@"; then
    rm -rf "$servroot"
else
    status=$?
    echo "the last test's files are in $TEST_NGINX_SERVROOT" >&2
    exit $status
fi
