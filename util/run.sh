#!/bin/bash
# Installs missing packages, builds the modules, and runs nginx.conf.example in
# the foreground until Ctrl-C:
#
#     util/run.sh [PORT]

set -euo pipefail
. "$(dirname "$0")/common.sh"

port=${1:-8080}

if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || [ "$port" -gt 65535 ]; then
    die "\"$port\" is no port: usage: $0 [PORT], 1 to 65535, by default 8080"
fi

if (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
    die "port $port is taken; try another one: $0 $((port % 65535 + 1))"
fi

"$root/util/packages.sh"
"$root/util/build.sh"

# Each user has a folder, as others can't write to files of root.
prefix=$build/run-$(id -un)-$port

rm -rf "$prefix"
mkdir -p "$prefix"/{logs,modules,temp}
modules "$build/objs" | xargs -d '\n' ln -st "$prefix/modules"

# The default folders for temporary files are writable by root only.
sed -e "s/127\.0\.0\.1:8080/127.0.0.1:$port/" \
    -e '/^http {/r /dev/stdin' "$root/nginx.conf.example" \
    > "$prefix/nginx.conf" << END
    client_body_temp_path temp/client_body;
    proxy_temp_path       temp/proxy;
    fastcgi_temp_path     temp/fastcgi;
    uwsgi_temp_path       temp/uwsgi;
    scgi_temp_path        temp/scgi;

END

run=("$nginx" -p "$prefix/" -c nginx.conf -e logs/error.log)

"${run[@]}" -t -q

echo
echo "    http://127.0.0.1:$port/          the page"
echo "    http://127.0.0.1:$port/status    JSON"
echo
echo "Ctrl-C stops it. The log, also in $prefix/logs/error.log:"
echo

# nginx handles Ctrl-C and SIGTERM itself, and exits with 0.
exec "${run[@]}" -g 'daemon off; error_log stderr info;'
