#!/bin/bash
# Runs BACKGROUND_NGINX with BACKGROUND_NPROC as its RLIMIT_NPROC.

ulimit -u "$BACKGROUND_NPROC" || exit 1
exec "$BACKGROUND_NGINX" "$@"
