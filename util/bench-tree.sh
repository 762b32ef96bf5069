#!/bin/bash
# How fast "digest" and "compress" are beside the usual tools, each with the
# same number of processes as the module has threads, at the same priority:
#
#     util/bench-tree.sh [THREADS] [ROUNDS] [FILES]
#
# The rounds of both alternate. Tells each time, with that of the CPU, and the
# median ratio of the throughputs, module to tool; fails where that is below
# 0.95. On a machine that has other work only the CPU's times mean much.

set -euo pipefail
. "$(dirname "$0")/common.sh"

threads=${1:-2} rounds=${2:-5} files=${3:-10000}

"$root/util/packages.sh"
"$root/util/build.sh"

dir=$(mktemp -d "${TMPDIR:-/tmp}/ngx_http_background_bench.XXXXXX")
pid=

finish() {
    [ -z "$pid" ] || kill "$pid" 2> /dev/null || true
    rm -rf "$dir"
}

trap finish EXIT

mkdir -p "$dir/tree" "$dir/logs" "$dir/temp"

# four of five are small pages, one of fifty is large
perl -e '
    my ($dir, $files) = @ARGV;
    srand 1;
    my @words = map { join "", map { chr 97 + int rand 26 } 1 .. 2 + rand 9 }
                1 .. 4000;
    my $text = join " ", map { $words[rand(@words) * rand] } 1 .. 200_000;
    for my $n (1 .. $files) {
        my ($min, $max) = $n % 50 == 0 ? (65_536, 524_288)
                        : $n % 5 == 0 ? (8192, 65_536) : (512, 8192);
        my $folder = "$dir/" . $n % 100;
        mkdir $folder;
        open my $file, ">", "$folder/$n.txt" or die "open: $!";
        print $file substr $text, rand(length($text) - $max),
                           $min + rand($max - $min);
        close $file or die "close: $!";
    }' "$dir/tree" "$files"

size=$(du -s --apparent-size -B1 "$dir/tree" | cut -f1)
echo "$files files, $((size / 1000000)) MB, $threads threads"

# module OPERATION: runs nginx for one cycle, tells how long that took
module() {
    local wall= n='\([0-9.]*\)'

    {
        modules "$build/objs" | sed 's/.*/load_module "&";/'
        [ "$EUID" -ne 0 ] || echo 'user root;'
        cat << END
daemon off;
worker_processes 1;
pid nginx.pid;
error_log logs/error.log;
events {}
http {
    access_log off;
    client_body_temp_path temp/1;
    proxy_temp_path       temp/2;
    fastcgi_temp_path     temp/3;
    uwsgi_temp_path       temp/4;
    scgi_temp_path        temp/5;

    background_threads $threads priority=0;
    background_task bench { interval 1h; retry 1h; $1 }
    server {
        listen unix:$dir/socket;
        location / { background_status; }
    }
}
END
    } > "$dir/nginx.conf"

    "$nginx" -p "$dir/" -c nginx.conf -e logs/error.log &
    pid=$!

    until wall=$(curl -s --unix-socket "$dir/socket" http://x/ |
                 sed -n "s/.*\"cpu_seconds\":$n,\"wall_seconds\":$n,\"error\":null.*/\1 \2/p") &&
        [ -n "$wall" ]
    do
        kill -0 $pid || die "nginx has ended: $(cat "$dir/logs/error.log")"
        sleep 0.2
    done

    kill $pid
    wait $pid
    pid=
    cpu=${wall% *}
    seconds=${wall#* }
}

# tool COMMAND...: the same with a tool
tool() {
    local TIMEFORMAT='%R %U %S' real user sys

    read -r real user sys < <({ time find "$dir/tree" -type f -name '*.txt' \
        -print0 | ionice -c 3 xargs -0 -P "$threads" -n 100 "$@" \
        > /dev/null; } 2>&1)

    cpu=$(awk "BEGIN { printf \"%.3f\", $user + $sys }")
    seconds=$real
}

clean() {
    find "$dir/tree" ! -name '*.txt' -type f -delete
}

# compare NAME OPERATION COMMAND...
compare() {
    local name=$1 operation=$2 round module module_cpu ratios=() ratio
    shift 2

    for ((round = 0; round < rounds; round++)); do
        clean
        module "$operation"
        module=$seconds
        module_cpu=$cpu
        clean
        tool "$@"
        ratio=$(awk "BEGIN { printf \"%.3f\", $seconds / $module }")
        ratios+=("$ratio")
        echo "$name: module $module s (CPU $module_cpu s)," \
            "$* $seconds s (CPU $cpu s), ratio $ratio"
    done

    ratio=$(printf '%s\n' "${ratios[@]}" | sort -n |
            sed -n "$((rounds / 2 + 1))p")
    echo "$name: median ratio $ratio"

    awk "BEGIN { exit $ratio < 0.95 }" || slow=1
}

slow=0

# read once, so that the first round is as the others
tool cat

compare digest "digest $dir/tree;" sha256sum
compare compress "compress $dir/tree suffix=.txt gzip=6;" gzip -6 -k

exit $slow
