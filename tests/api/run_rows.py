# SPDX-License-Identifier: Apache-2.0
"""Runs the rows: run_rows.py HOST_PROGRAM PLUGIN.so [row_NNN ...]"""
import shutil
import sys

import apilib
import rows_openapi  # noqa: F401
import rows_identity  # noqa: F401
import rows_kinds  # noqa: F401
import rows_read  # noqa: F401
import rows_watch  # noqa: F401
import rows_write  # noqa: F401


def run(argv):
    fixture = apilib.Fixture(argv[1], argv[2], [])
    try:
        return apilib.main(fixture, argv[3:])
    finally:
        fixture.stop()
        shutil.rmtree(fixture.state, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run(sys.argv))
