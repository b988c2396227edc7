# SPDX-License-Identifier: ISC
"""What the driver scripts share: where to connect, and lines of TAP."""
import os
import sys

HOST, PORT = os.environ["BH_HOST"], int(os.environ["BH_PORT"])
USER, DB = os.environ["BH_USER"], os.environ["BH_DB"]
PASSWORD = os.environ.get("BH_PASSWORD", "")
failed = []


def ok(condition, name):
    print(("ok " if condition else "not ok ") + name, flush=True)
    if not condition:
        failed.append(name)


def end():
    sys.exit(1 if failed else 0)
