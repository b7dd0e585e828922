#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Clients that we did not write, downloaded and built first when they are not there: two minutes, the first time.
AMBIENT_CLIENTS=fetch exec "$(dirname "$0")/clients.sh" "$@"
