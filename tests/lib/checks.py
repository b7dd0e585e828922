# SPDX-License-Identifier: Apache-2.0
"""TAP of a script that checks one thing after the other: a line for each, and the plan at the end."""
_results = []


def check(name, good, detail=""):
    _results.append(bool(good))
    print(f"{'ok' if good else 'not ok'} {len(_results)} - {name}", flush=True)
    if not good:
        for line in str(detail).splitlines():
            print("# " + line)


def finish():
    """The plan; returns the script's exit status."""
    print(f"1..{len(_results)}")
    return 0 if all(_results) else 1
