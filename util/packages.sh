#!/bin/bash
# Installs missing packages on Debian, as root or by sudo:
#
#     util/packages.sh [test | fuzz | bench]
#
# Installs packages to build and run the module; with "test" also those to test
# it, with "fuzz" and "bench" those for util/fuzz.sh and util/bench.sh.  Starts
# no service.

set -euo pipefail
. "$(dirname "$0")/common.sh"

packages=(nginx nginx-dev libnginx-mod-http-ndk libnginx-mod-http-ndk-dev
          gcc libc6-dev make libssl-dev zlib1g-dev libdeflate-dev libbrotli-dev
          libzstd-dev libhiredis-dev util-linux curl)
test_packages=(perl libcpanel-json-xs-perl procps libtest-nginx-perl prometheus
               python3-jsonschema python3-prometheus-client
               chromium-headless-shell brotli zstd openssl php-fpm
               libnginx-mod-http-lua libnginx-mod-http-js
               libnginx-mod-http-brotli-static libnginx-mod-stream
               libnginx-mod-nchan
               mariadb-server-core mariadb-client-core openssh-server redis-server
               rsync systemd python3-seccomp libfaketime tzdata
               g++ rustc libtesseract-dev libleptonica-dev tesseract-ocr)
fuzz_packages=(clang libclang-rt-dev binutils)
bench_packages=(perl libcpanel-json-xs-perl python3 python3-uvloop
                python3-fastapi uvicorn wrk wget libnginx-mod-http-lua
                libnginx-mod-http-js haproxy redis-server lua-nginx-redis)

ID='' VERSION_ID=''
# shellcheck source=/dev/null
. /etc/os-release 2> /dev/null || true

# not in Debian 12
if [ "$ID" = debian ] && [ "${VERSION_ID:-99}" -gt 12 ]; then
    test_packages+=(valkey-server)
fi

policy=/usr/sbin/policy-rc.d
policy_mark='# temporary, of ngx_http_background_module'

installed() {
    if [ "$1" = libtest-nginx-perl ]; then      # or it came from CPAN
        perl -e 'exit !grep { -e "$_/Test/Nginx/Socket.pm" } @INC'
    else
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$1")" = installed ]
    fi 2> /dev/null
}

forbid_services() {
    if grep -qs "$policy_mark" $policy ||
        (set -o noclobber; : > $policy) 2> /dev/null
    then
        trap 'rm -rf $policy "$tmp"' EXIT
        printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" > $policy
        chmod 755 $policy
    fi
}

# Debian 12 and 13 do not have the package, but the one of a later release
# fits.  It is fetched from the archive of the system, which is not added to
# its sources.
fetch_test_nginx() {
    local archive release

    archive=$(debian_archive)

    for release in forky sid; do
        debian_source deb "$archive" $release > "$tmp/sources.list"

        if apt_aside "$tmp" apt-get update &&
            (cd "$tmp" && apt_aside . apt-get download libtest-nginx-perl)
        then
            return
        fi
    done

    return 1
}

install() {
    local package names=()
    local apt=(apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)

    # errors of other sources are ignored
    "${apt[@]}" update || true

    for package; do
        if [ "$package" = libtest-nginx-perl ] &&
            ! apt-cache show "$package" > /dev/null 2>&1
        then
            fetch_test_nginx || return
            package=$(echo "$tmp"/libtest-nginx-perl_*.deb)
        fi
        names+=("$package")
    done

    DEBIAN_FRONTEND=noninteractive \
        "${apt[@]}" install -y --no-install-recommends "${names[@]}"
}

case ${1-} in
    test) packages+=("${test_packages[@]}") ;;
    fuzz) packages+=("${fuzz_packages[@]}") ;;
    bench) packages+=("${bench_packages[@]}") ;;
esac

missing=()

for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
done

if [ ${#missing[@]} -eq 0 ]; then
    exit
fi

if [ "$ID" != debian ] || [ "${VERSION_ID:-99}" -lt 12 ]; then
    die "this system is not Debian 12 or later. Install by hand what these" \
        "packages of Debian have: ${missing[*]}." \
        "(Test::Nginx: cpanm Test::Nginx.)" \
        "doc/operating.md says how to build the module into an nginx of your own."
fi

if [ "$EUID" -ne 0 ]; then
    command -v sudo > /dev/null ||
        die "packages are missing: ${missing[*]}. Run this as root once: $0 $*"
    echo "packages are missing: ${missing[*]}; asking sudo to install them"
    exec sudo -- "$0" "$@"
fi

echo "installing ${missing[*]}"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

forbid_services
quietly "$tmp/log" install "${missing[@]}"
