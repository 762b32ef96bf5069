#!/bin/bash
# Builds the modules for the nginx package of the distribution:
#
#     [CC=clang] [CFLAGS=-O0] util/build.sh
#
# The result is build/objs/ngx_http_background*_module.so.

set -euo pipefail
. "$(dirname "$0")/common.sh"

for file in "$nginx" /usr/share/nginx{/src/conf_flags,-ndk/src/config}; do
    [ -e "$file" ] || die "there is no $file: util/packages.sh installs it"
done

lock_build

build_nginx /usr/share/nginx/src /usr/share/nginx-ndk/src "$build/objs" \
    "${hardened[@]}" ${CFLAGS:+"$CFLAGS"}
