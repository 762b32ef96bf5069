#!/bin/bash
# Builds nginx and the modules from a source tree of nginx, of a release or a
# clone, and runs the test suite:
#
#     [CC=clang] util/source.sh DIR [ARGUMENT OF prove | FILE]...

set -euo pipefail
. "$(dirname "$0")/common.sh"

[ -f "${1-}/src/core/nginx.c" ] || die "\"${1-}\" is no source tree of nginx"
given=$1
shift

"$root/util/packages.sh" test

dir=$build/source
ndk_version=$(source_version libnginx-mod-http-ndk)
ndk=$dir/ndk-${ndk_version#*:}

mkdir -p "$dir"
lock_build

# The NDK package is for the nginx package.
if [ ! -d "$ndk" ]; then
    echo "fetching the source of ngx_devel_kit $ndk_version"
    quietly "$dir/fetch.log" \
        fetch_source libnginx-mod-http-ndk "$ndk_version" "$ndk"
fi

# a copy, as ./configure writes into the tree
rm -rf "$dir/nginx"
mkdir "$dir/nginx"
tar -C "$given" --exclude=./.git --exclude=./objs -cf - . |
    tar -C "$dir/nginx" --no-same-owner -xf -

build_nginx "$dir/nginx" "$ndk" "$dir/objs" "${hardened[@]}" \
    ${CFLAGS:+"$CFLAGS"}
unlock_build

export TEST_NGINX_BINARY=$dir/objs/nginx
TEST_NGINX_LOAD_MODULES=$(modules "$dir/objs" | paste -sd ' ')
export TEST_NGINX_LOAD_MODULES

exec "$root/util/test.sh" "$@"
