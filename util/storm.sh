#!/bin/bash
# Storms: reloads, changes, kill -9, binary upgrades, and stopped workers under
# load.  Runs the tests t/storm-*.t with more rounds and prints figures:
#
#     util/storm.sh [--asan] [ROUNDS [FILE]...]
#
# 300 rounds by default; --asan: on a build with sanitizers, see asan.sh.

set -euo pipefail
. "$(dirname "$0")/common.sh"

run=$root/util/test.sh

if [ "${1-}" = --asan ]; then
    run=$root/util/asan.sh
    shift
fi

rounds=${1:-300}
number "$rounds" rounds
[ $# -eq 0 ] || shift

if [ $# -eq 0 ]; then
    cd "$root"
    set -- t/storm-*.t
fi

export BACKGROUND_STORM=$rounds
"$run" -j 1 --timer "$@"
