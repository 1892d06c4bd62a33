#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a program as a user who may make no control groups: as_another_user.sh PROGRAM ARG…
set -eu
[ "$(id -u)" = 0 ] || exec "$@"
become="setpriv --reuid 31234 --regid 31234 --clear-groups env HOME=/nonexistent"
if ! $become test -x "$BROOD_BIN_DIR/brood"; then
  echo "SKIPPED: root runs this, and no other user may read $BROOD_BIN_DIR"
  exit 77
fi
exec $become "$@"
