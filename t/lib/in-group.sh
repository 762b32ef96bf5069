#!/bin/sh
# Runs BACKGROUND_NGINX in the cgroup BACKGROUND_GROUP.  With the mount point of
# its hierarchy in BACKGROUND_HIDDEN, nginx does not see it.

run='
    exec 3> "$BACKGROUND_GROUP/cgroup.procs" || exit 1
    [ -z "$BACKGROUND_HIDDEN" ] || umount -l "$BACKGROUND_HIDDEN" || exit 1
    echo $$ >&3 || exit 1
    exec 3>&-
    exec "$BACKGROUND_NGINX" "$@"'

if [ -n "$BACKGROUND_HIDDEN" ]; then
    exec unshare -m sh -c "$run" sh "$@"
fi

exec sh -c "$run" sh "$@"
