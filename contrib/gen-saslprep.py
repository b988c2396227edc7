#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
# Prints src/auth/saslprep_tables.def: the tables A.1, D.1 and D.2 of RFC 3454 (Unicode 3.2) from Python's own copy.
import stringprep


def ranges(test):
    found = []
    for c in range(0x110000):
        if not test(chr(c)):
            continue
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


tables = (("UNASSIGNED", "A.1: not assigned in Unicode 3.2", stringprep.in_table_a1),
          ("RIGHT_TO_LEFT", "D.1: characters with bidirectional property R or AL", stringprep.in_table_d1),
          ("LEFT_TO_RIGHT", "D.2: characters with bidirectional property L", stringprep.in_table_d2))
print("/* SPDX-License-Identifier: ISC */")
print("/* Tables of RFC 3454 as ranges, by contrib/gen-saslprep.py. An includer defines what it wants. */")
for name, _, _ in tables:
    print(f"#ifndef {name}\n#define {name}(...)\n#endif")
for name, what, test in tables:
    print(f"\n/* {what} */")
    line = ""
    for first, last in ranges(test):
        entry = f"{name}(0x{first:x}, 0x{last:x})"
        if len(line) + len(entry) + 1 > 118:
            print(line)
            line = ""
        line += (" " if line else "") + entry
    print(line)
print()
for name, _, _ in tables:
    print(f"#undef {name}")
