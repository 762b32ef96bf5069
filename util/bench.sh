#!/bin/bash
# Compares the module with other ways to do the same, side by side:
#
#     util/bench.sh [-r ROUNDS] [SECTION]...
#
# The sections are the files util/bench/SECTION.pl, by default all of them.
# What is compared is measured in turns, and each thing with itself, too.
# Prints a table of ratios, with their median and span; fails where a median is
# not what is wanted, or a section could not be measured.  The ratios of things
# with themselves tell what the other ones are worth, on a machine that has other
# work above all.

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
