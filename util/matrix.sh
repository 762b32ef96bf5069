#!/bin/bash
# Runs the test suite on releases of Debian, each in a new root directory, with
# gcc and with clang, and prints a table of the results.  Needs root:
#
#     util/matrix.sh [RELEASE]... [-- ARGUMENT OF prove | FILE]...
#
# By default bookworm, trixie and forky, and all tests. Variables:
#
#     NGINX_SOURCE=DIR   with nginx built from that source tree, see source.sh,
#                        instead of the packaged one
#     MATRIX_DIR=DIR     keeps the roots there, to be used again; by default
#                        they are in /var/tmp and removed at the end
#
# The output of the tests is in build/matrix.

set -euo pipefail
. "$(dirname "$0")/common.sh"

[ "$EUID" -eq 0 ] || die "a root of its own needs root: sudo $0 $*"

for tool in mmdebstrap unshare; do
    command -v $tool > /dev/null || die "there is no $tool: apt-get install $tool"
done

source=${NGINX_SOURCE-}

[ -z "$source" ] || [ -f "$source/src/core/nginx.c" ] ||
    die "\"$source\" is no source tree of nginx"

releases=()

while [ $# -gt 0 ] && [ "$1" != -- ]; do
    releases+=("$1")
    shift
done

[ $# -eq 0 ] || shift
tests=("$@")
[ ${#releases[@]} -gt 0 ] || releases=(bookworm trixie forky)

logs=$build/matrix
export tree=/ngx_http_background_module      # inside of a root
mkdir -p "$logs"

if [ -n "${MATRIX_DIR-}" ]; then
    dir=$MATRIX_DIR
    mkdir -p "$dir"
else
    dir=$(mktemp -d /var/tmp/ngx_http_background_matrix.XXXXXX)
    trap 'rm -rf --one-file-system "$dir"' EXIT
fi

# inside ROOT COMMAND...
#
# The mounts are visible in the root only, and processes end with it.  It is
# not a chroot, in which tests could not create namespaces.
inside() {
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child=KILL bash -euc '
        mount --bind "$1" "$1"
        cd "$1"
        shift
        mount -t proc proc proc
        mount --rbind /sys sys
        mount --rbind /dev dev
        pivot_root . .
        umount -l .
        exec env -i -C "$tree" HOME=/root LC_ALL=C.UTF-8 \
            PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"' bash "$@"
}

# shellcheck disable=SC2317
# make_root RELEASE ROOT: expired files of later releases are accepted
make_root() {
    local archive

    archive=$(debian_archive)
    [ -n "$archive" ] || return

    rm -rf --one-file-system "$2.new"
    mmdebstrap --variant=minbase --include=clang \
        --aptopt='Acquire::Check-Valid-Until "false"' "$1" "$2.new" \
        "deb $archive $1 main" || return

    mv "$2.new" "$2"
}

# copy FROM TO: copies a tree without built files
copy() {
    rm -rf --one-file-system "$2"
    mkdir -p "$2"
    tar -C "$1" --exclude=./.git --exclude=./build --exclude=./objs -cf - . |
        tar -C "$2" --no-same-owner -xf -
}

# row RELEASE CC: prints a line of the table; fails if a test fails
row() {
    local root=$dir/$1 log=$logs/$1-$2.log cell result=pass status=0
    local run=(util/test.sh) binary=$nginx

    if [ -n "$source" ]; then
        run=(util/source.sh /nginx)
        binary=$tree/build/source/objs/nginx
    fi

    inside "$root" CC="$2" "${run[@]}" "${tests[@]}" > "$log" 2>&1 \
        < /dev/null || status=$?

    if [ $status -ne 0 ]; then
        result=$(sed -n '/^Test Summary Report/,$s/^t\/\([^ ]*\)\.t .*/\1/p' \
            "$log" | paste -sd ' ')
        result="fails: ${result:-see $log}"
    fi

    cell=$(sed -nE 's/^Files=([0-9]+), Tests=([0-9]+), +([0-9]+) .*/\1 | \2 | \3/p' \
        "$log" | tail -n 1)

    echo "| $1 | $(version "$root" "$binary" -v)" \
        "| $2 $(version "$root" "$2" --version) | ${cell:- | | } | $result |"

    return $status
}

# version ROOT COMMAND...: prints the first version in the output
version() {
    { inside "$@" 2>&1 || true; } | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' |
        head -n 1
}

failed=0

echo "| Debian | nginx | compiler | files | tests | seconds | result |"
echo "| --- | --- | --- | --- | --- | --- | --- |"

for release in "${releases[@]}"; do
    if [ ! -d "$dir/$release" ]; then
        quietly "$logs/$release.log" make_root "$release" "$dir/$release"
    fi

    copy "$root" "$dir/$release$tree"
    [ -z "$source" ] || copy "$source" "$dir/$release/nginx"

    for cc in gcc clang; do
        row "$release" $cc || failed=1
    done

    [ -n "${MATRIX_DIR-}" ] || rm -rf --one-file-system "${dir:?}/$release"
done

exit $failed
