#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Validates results files against results.schema.json beside this script.

Usage: check_schema.py RESULTS.json...
Exit status 1 and a line for each fault.  Needs Debian's python3-jsonschema.
"""
import json
import os
import sys

import jsonschema


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    schema = os.path.join(root, "workloads", "compare", "results", "results.schema.json")
    with open(schema, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    faults = 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
        for fault in validator.iter_errors(results):
            print(
                f"{path}: {'/'.join(map(str, fault.absolute_path))}: {fault.message[:200]}",
                file=sys.stderr,
            )
            faults += 1
    sys.exit(1 if faults else 0)


main()
