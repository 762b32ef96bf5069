#!/bin/bash
# Measures "digest", "verify", and "compress" of a tree with many small files
# and a large sparse one.  Runs t/slow-tree.t with more files:
#
#     util/slow.sh [--asan] [FILES [MIB]]
#
# 100,000 files and 4096 MiB by default, which is a few minutes, and 1 GiB of
# disk in TMPDIR; --asan: on a build with sanitizers, see asan.sh.

set -euo pipefail
. "$(dirname "$0")/common.sh"

run=$root/util/test.sh

if [ "${1-}" = --asan ]; then
    run=$root/util/asan.sh
    shift
fi

files=${1:-100000} mib=${2:-4096}
number "$files" files
number "$mib" MiB

export BACKGROUND_SLOW="$files $mib"
"$run" --timer t/slow-tree.t
