#!/bin/bash
# Runs BACKGROUND_NGINX with a limit: BACKGROUND_ULIMIT are arguments of ulimit.

# shellcheck disable=SC2086
ulimit $BACKGROUND_ULIMIT || exit 1
exec "$BACKGROUND_NGINX" "$@"
