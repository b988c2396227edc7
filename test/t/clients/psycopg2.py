# SPDX-License-Identifier: ISC
"""psycopg2: the simple protocol with literals, COPY, server-side cursors, autocommit."""
import io
import os
import sys

# This file has the driver's own name: import the driver, not this file.
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import psycopg2

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
from common import DB, HOST, PASSWORD, PORT, USER, end, ok

c = psycopg2.connect(host=HOST, port=PORT, user=USER, dbname=DB, password=PASSWORD)
cur = c.cursor()
cur.execute("SELECT %s, %s", (1, "it's"))
ok(cur.fetchone() == (1, "it's"), "literals")
cur.execute("TRUNCATE items")
cur.copy_from(io.StringIO("".join(f"{i}\tn{i}\n" for i in range(300))), "items", columns=("id", "name"))
c.commit()
cur.execute("SELECT count(*) FROM items")
ok(cur.fetchone() == (300,), "COPY FROM")
out = io.StringIO()
cur.copy_expert("COPY items (id) TO STDOUT", out)
ok(len(out.getvalue().split()) == 300, "COPY TO")
c.commit()
named = c.cursor("srv")
named.itersize = 50
named.execute("SELECT id FROM items ORDER BY id")
ok([r[0] for r in named] == list(range(300)), "a server-side cursor")
named.close()
c.commit()
try:
    cur.execute("SELECT 1/0")
    ok(False, "an error")
except psycopg2.errors.DivisionByZero:
    ok(True, "an error")
c.rollback()
c.autocommit = True
for i in range(50):
    cur.execute("SELECT %s", (i,))
    if cur.fetchone() != (i,):
        ok(False, "autocommit")
ok(True, "autocommit")
end()
