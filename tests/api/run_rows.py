# SPDX-License-Identifier: Apache-2.0
"""Runs the rows: run_rows.py HOST_PROGRAM PLUGIN.so [row_NNN ...] against a server of our own, or
run_rows.py --cluster KUBECONFIG CONFORMANCE.md [row_NNN ...] against one that is there; the table in that page names
the rows that differ on a real control plane, and why."""
import shutil
import sys

import apilib
import rows_discovery  # noqa: F401
import rows_openapi  # noqa: F401
import rows_identity  # noqa: F401
import rows_kinds  # noqa: F401
import rows_read  # noqa: F401
import rows_rules  # noqa: F401
import rows_tables  # noqa: F401
import rows_watch  # noqa: F401
import rows_write  # noqa: F401


def run(argv):
    if argv[1] == "--cluster":
        fixture = apilib.Cluster(argv[2])
        try:
            return apilib.main(fixture, argv[4:], apilib.differences(argv[3]))
        finally:
            shutil.rmtree(fixture.state, ignore_errors=True)
    fixture = apilib.Fixture(argv[1], argv[2], [])
    try:
        return apilib.main(fixture, argv[3:])
    finally:
        fixture.stop()
        shutil.rmtree(fixture.state, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(run(sys.argv))
