#!/bin/bash
# Compares the module with other programs that do the same work:
#
#     util/bench.sh [-r ROUNDS] [SECTION]...
#
# The sections are the files util/bench/SECTION.pl, by default all of them.
# The programs are measured in turns, and each one is also compared with
# itself.  Prints a table of ratios with median and span.  Fails if a median is
# out of the wanted range or a section could not be measured.  The ratios of a
# program with itself show how precise the others are, above all on a machine
# that has other work.

set -euo pipefail
. "$(dirname "$0")/common.sh"

rounds=()

while getopts r: option; do
    [ "$option" = r ] || die "usage: $0 [-r ROUNDS] [SECTION]..."
    number "$OPTARG" rounds
    rounds=(-r "$OPTARG")
done

shift $((OPTIND - 1))

for section; do
    [[ $section =~ ^[a-z]+$ && -f $root/util/bench/$section.pl ]] ||
        die "there is no section \"$section\", there are:" \
            "$(basename -as .pl "$root"/util/bench/*.pl | paste -sd ' ')"
done

if [ -z "${TEST_NGINX_LOAD_MODULES-}" ]; then
    "$root/util/packages.sh" bench
    "$root/util/build.sh"
    TEST_NGINX_LOAD_MODULES=$(modules "$build/objs" | paste -sd ' ')
fi

export TEST_NGINX_LOAD_MODULES
export TEST_NGINX_BINARY=${TEST_NGINX_BINARY:-$nginx}

exec perl -I "$root/t/lib" -I "$root/util/bench" "$root/util/bench.pl" \
    "${rounds[@]}" "$@"
