#!/bin/bash
# Builds a separate module, such as examples/kind, for the nginx package of the
# distribution:
#
#     [CC=clang] [CFLAGS=...] util/kind.sh FOLDER [RESULT]
#
# FOLDER has the module's "config".  The modules are in RESULT, by default
# FOLDER/objs.  nginx is configured anew only if "config", a public header, a
# parameter or an installed package has changed.

set -euo pipefail
. "$(dirname "$0")/common.sh"

[ $# -eq 1 ] || [ $# -eq 2 ] || die "usage: util/kind.sh FOLDER [RESULT]"
[ -f "$1/config" ] || die "there is no $1/config"

folder=$(cd "$1" && pwd)
mkdir -p "${2-$folder/objs}"
objs=$(cd "${2-$folder/objs}" && pwd)
source=/usr/share/nginx/src

for file in "$nginx" $source/conf_flags; do
    [ -e "$file" ] || die "there is no $file: it is in Debian's nginx-dev"
done

# "configure" of nginx uses this as the name of a source file
[[ $folder$objs != *.[cS]* ]] || die "a folder's name has \".c\" or \".S\""

# shellcheck source=/dev/null
. $source/conf_flags

export NGX_HTTP_BACKGROUND_SRC=$root/src

cd $source

set -- "${NGX_CONF_FLAGS[@]}" --with-cc="${CC:-gcc}" \
    --with-cc-opt="${hardened[*]:1} ${CFLAGS-}" \
    --with-ld-opt="${hardened[0]}" --builddir="$objs" \
    --add-dynamic-module="$folder"

inputs=$(printf '%s\n' "$root" "$@"
         stat -c %y /var/lib/dpkg/status
         cksum "$folder/config" "$root"/src/*.h)

if [ "$inputs" != "$(cat "$objs/inputs" 2> /dev/null)" ]; then
    rm -f "$objs/inputs"
    quietly "$objs/configure.log" bash ./configure "$@"
    echo "$inputs" > "$objs/inputs"
fi

quietly "$objs/make.log" make -s -j"$(nproc)" -f "$objs/Makefile" modules

find "$objs" -maxdepth 1 -name '*.so'
