# Functions of the scripts in this folder; sourced.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
nginx=/usr/sbin/nginx

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# number VALUE [WHAT]: dies if VALUE is not a whole number of 1 or more
number() {
    [[ $1 =~ ^[1-9][0-9]*$ ]] || die "\"$1\" is no number${2:+ of $2}"
}

# quietly LOG COMMAND...: writes the output of COMMAND to LOG, and prints it if
# COMMAND fails
quietly() {
    local log=$1
    shift

    "$@" > "$log" 2>&1 < /dev/null || {
        cat "$log" >&2
        die "failed: $*"
    }
}

# lock_build: waits until no other script builds; descriptor 9 holds the lock
# until unlock_build or the end of the script
lock_build() {
    mkdir -p "$build"
    exec 9> "$build/lock"

    flock -n 9 || {
        echo "waiting for another build in $build" >&2
        flock 9
    }
}

unlock_build() {
    flock -u 9
    exec 9>&-
}

# for builds without sanitizers; -Wextra without warnings of unused parameters,
# which many handlers of nginx have
# shellcheck disable=SC2034
hardened=('-Wl,-z,relro -Wl,-z,now' -g -O2 -fstack-protector-strong
          -D_FORTIFY_SOURCE=2 -Wall -Wextra -Wno-unused-parameter -Werror)

# build_nginx SOURCE NDK OBJS LD_OPT CC_OPT...
#
# Makes the modules in OBJS, and nginx and NDK's module themselves where SOURCE
# and NDK are complete, configured as Debian's.  Configures anew only when
# something has changed that make does not check.
build_nginx() {
    local source=$1 ndk=$2 objs=$3 ld_opt=$4 cc=${CC:-gcc} inputs targets
    local configure=configure complete=
    shift 4

    [ -f "$source/configure" ] || configure=auto/configure
    [ ! -f "$source/src/core/nginx.c" ] || complete=1

    command -v "${cc%% *}" > /dev/null || die "there is no compiler \"$cc\""

    # shellcheck source=/dev/null
    . /usr/share/nginx/src/conf_flags

    # modules of packages do not fit, and options of Debian's patches are not
    # known; tests look for the others
    if [ -n "$complete" ]; then
        mapfile -t NGX_CONF_FLAGS < <(
            printf '%s\n' "${NGX_CONF_FLAGS[@]}" | grep -v '^--override-')
        NGX_CONF_FLAGS=(
            "${NGX_CONF_FLAGS[@]/#--modules-path=*/--modules-path=$objs}"
            --with-http_gzip_static_module --with-http_sub_module --with-stream)
    else
        # Debian's is a module
        NGX_CONF_FLAGS+=(--with-stream=dynamic)
    fi

    set -- "${NGX_CONF_FLAGS[@]}" --with-cc="$cc" --with-cc-opt="$*" \
        --with-ld-opt="$ld_opt" --builddir="$objs" \
        --add-dynamic-module="$ndk" --add-dynamic-module="$root"

    inputs=$(printf '%s\n' "$source" "$@"
             [ -z "$complete" ] ||
                 find "$source/auto" "$source/src" "$ndk" -type f \
                     -exec cksum {} + | sort
             $cc --version
             env | grep ^NGX_BACKGROUND_ || true
             dpkg-query -W nginx-dev libnginx-mod-http-ndk-dev zlib1g-dev \
                 libdeflate-dev libbrotli-dev libzstd-dev 2>&1 || true
             cat "$root/config" "$root/config.make")

    if [ "$inputs" != "$(cat "$objs/inputs" 2> /dev/null)" ]; then
        echo "configuring nginx with $cc for $objs"
        rm -rf "$objs"
        mkdir -p "$objs"
        (cd "$source" && quietly "$objs/configure.log" bash "./$configure" "$@")
        echo "$inputs" > "$objs/inputs"
    fi

    # the package of NDK has only headers, so no module can be built
    mapfile -t targets < <(own_modules "$objs/Makefile")

    [ ! -f "$ndk/src/ndk.c" ] || targets+=("$objs/ndk_http_module.so")
    [ -z "$complete" ] || targets+=("$objs/nginx")

    make -s --no-print-directory -j"$(nproc)" -C "$source" \
        -f "$objs/Makefile" "${targets[@]}"

    # files that root builds belong to the owner of the tree
    if [ "$EUID" -eq 0 ]; then
        chown -R --reference="$root" "$build/lock" "$objs"
        chown --reference="$root" "$build"
    fi
}

# own_modules MAKEFILE: prints the targets that are modules of this project, one
# a line; a folder may have a similar name
own_modules() {
    sed -n 's/^modules:[[:space:]]*//p' "$1" | grep '/ngx_http_background[^/]*$'
}

# nginx_source: prints the folder of Debian's source, which is fetched if needed
nginx_source() {
    local version source

    version=$(source_version nginx)
    source=$build/source/nginx-${version#*:}

    if [ ! -d "$source" ]; then
        echo "fetching the source of nginx $version" >&2
        mkdir -p "$build/source"
        quietly "$build/source/fetch.log" \
            fetch_source nginx "$version" "$source"
    fi

    echo "$source"
}

# build_sanitized SOURCE OBJS LD_OPT CC_OPT...: nginx itself and the modules
#
# -z nodelete: a report at exit names functions of a module that was unloaded.
build_sanitized() {
    local source=$1 objs=$2 ld_opt=$3
    shift 3

    CC=gcc build_nginx "$source" /usr/share/nginx-ndk/src "$objs" \
        "$ld_opt -Wl,-z,nodelete" \
        -g -O1 -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1 -Wno-error "$@"
}

# make_reports NAME: creates the folder $reports, which is removed at the end.
# It is outside of the tree, as workers of any user write there.
make_reports() {
    reports=$(mktemp -d "${TMPDIR:-/tmp}/ngx_http_background_$1.XXXXXX")
    trap 'rm -rf "$reports"' EXIT
    chmod 1777 "$reports"
}

# test_sanitized OBJS [ARGUMENT OF prove | FILE]...
#
# Sanitizers do not support all addresses that a kernel may choose randomly.
test_sanitized() {
    local objs=$1 modules fixed=()
    shift

    modules=$(modules "$objs" | paste -sd ' ')
    ! setarch -R true 2> /dev/null || fixed=(setarch -R)

    BACKGROUND_ASAN=1 \
        TEST_NGINX_BINARY=$objs/nginx TEST_NGINX_LOAD_MODULES=$modules \
        "${fixed[@]}" "$root/util/test.sh" "$@"
}

# conclude STATUS [REPORT]...: ends the script; REPORTs name code of the module
conclude() {
    local status=$1 total
    shift

    total=$(find "$reports" -mindepth 1 -name '*san.*' | wc -l)

    if [ $# -gt 0 ]; then
        cat "$@" >&2
        status=1
    fi

    echo "sanitizers: reports of $# processes name the module's code," \
        "of $((total - $#)) others nginx's own only"
    exit "$status"
}

# modules OBJS: prints all modules in the order in which they must be loaded
modules() {
    if [ -f "$1/ndk_http_module.so" ]; then
        echo "$1/ndk_http_module.so"
    else
        "$nginx" -V 2>&1 |
            sed -n 's,.*--modules-path=\([^ ]*\).*,\1/ndk_http_module.so,p'
    fi

    echo "$1/ngx_http_background_module.so"
    find "$1" -maxdepth 1 -name 'ngx_http_background_*_module.so' \
        ! -name ngx_http_background_stream_module.so | sort

    # it needs nginx's own, which may be a module, too, or not installed
    [ -f "$1/ngx_http_background_stream_module.so" ] || return 0

    stream=$("$nginx" -V 2>&1 |
        sed -n 's,.*--modules-path=\([^ ]*\).*--with-stream=dynamic.*,\1/ngx_stream_module.so,p')

    if [ -f "$1/ngx_stream_module.so" ]; then
        stream=$1/ngx_stream_module.so
    elif [ -f "$1/nginx" ]; then
        stream=
    elif [ -n "$stream" ] && [ ! -f "$stream" ]; then
        return 0
    fi

    echo "$stream" "$1/ngx_http_background_stream_module.so" | tr ' ' '\n' |
        sed '/^$/d'
}

# apt_aside DIR apt-get|apt-cache ARGUMENT...
#
# Runs apt with the sources in DIR/sources.list and its state in DIR.  Needs no
# privileges, and does not change the configuration of the system.
apt_aside() {
    local dir=$1 tool=$2
    shift 2

    mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"

    "$tool" -o Dir::Etc::SourceList="$dir/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null -o Dir::State="$dir/state" \
        -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root \
        -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none \
        -o Acquire::Retries=3 "$@"
}

# prints the archives of Debian that apt uses, one a line: URI and release
debian_archives() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
        'Created-By: Packages' 'Component: main' 'Origin: Debian' | sort -u
}

# debian_archive: prints the URI of the archive of the installed release
debian_archive() {
    # shellcheck source=/dev/null
    debian_archives | awk -v release="$(. /etc/os-release
                                        echo "${VERSION_CODENAME-}")" \
        '$2 == release { print $1; exit }'
}

# debian_source deb|deb-src URI RELEASE: prints a line of a sources.list
debian_source() {
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg

    [ -f $keyring ] || keyring=
    echo "$1 ${keyring:+[signed-by=$keyring]} $2 $3 main"
}

# fetch_source PACKAGE VERSION DIR
#
# Unpacks Debian's source of that version in DIR.  If the archive does not have
# it any more, another one of the same upstream version is used, or the upstream
# source without Debian's patches.
# shellcheck disable=SC2317
fetch_source() (
    package=$1 version=$2 dir=$3
    upstream=${version#*:} upstream=${upstream%-*}

    rm -rf "$dir" "$dir.apt" && mkdir -p "$dir.apt/$package" || return
    cd "$dir.apt/$package" || return
    trap 'rm -rf "$dir.apt"' EXIT

    while read -r uri release; do
        debian_source deb-src "$uri" "$release"
    done < <(debian_archives) > ../sources.list

    apt_aside "$dir.apt" apt-get update

    for v in "$version" $(apt_aside "$dir.apt" apt-cache showsrc "$package" |
                          sed -n 's/^Version: //p' | sort -rV)
    do
        apt_aside "$dir.apt" apt-get source --only-source "$package=$v" || true

        if [ -d "$package-$upstream" ]; then
            mv "$package-$upstream" "$dir"
            return
        fi
    done

    mkdir "$dir"
    tar xf "${package}_$upstream.orig.tar.gz" -C "$dir" --strip-components=1 ||
        { rm -rf "$dir"; return 1; }
)

# source_version PACKAGE: prints the version of the source of the package
source_version() {
    # shellcheck disable=SC2016
    dpkg-query -W -f '${source:Version}' "$1"
}
