#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# As fetched.sh, with those that take longer to build.
AMBIENT_CLIENTS=all exec "$(dirname "$0")/clients.sh" "$@"
