#!/bin/bash
# Installs missing packages, builds the modules, and runs the test suite:
#
#     util/test.sh [ARGUMENT OF prove | FILE]...
#
# Files run at the same time, each in its own folder, which is kept if the file
# fails.  With "-j 1" they run one after the other.
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

# workers of any user must be able to enter the folder
files=$(mktemp -d "${TMPDIR:-/tmp}/nginx_test_XXXXXX")
chmod 755 "$files"

export TEST_NGINX_LOAD_MODULES
export TEST_NGINX_BINARY=${TEST_NGINX_BINARY:-$nginx}
export BACKGROUND_TESTS=$files
export PERL5LIB=$root/t/lib${PERL5LIB:+:$PERL5LIB}

cd "$root"

# perl's heap in huge pages: it starts with a third of the page faults, which are
# dear in some virtual machines; BackgroundKeep keeps it from nginx
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1

# tests wait most of the time
status=0
prove --harness BackgroundHarness -j $(($(nproc) * 4 + 4)) "$@" || status=$?

if [ $status -eq 0 ]; then
    rm -rf "$files"
else
    rmdir --ignore-fail-on-non-empty "$files"
fi

exit $status
