#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes configure and Makefile.in; needed once after a clone, and after nothing else: make keeps them current.
set -e
cd "$(dirname "$0")"
mkdir -p build-aux m4
exec autoreconf --install --warnings=no-portability "$@"
