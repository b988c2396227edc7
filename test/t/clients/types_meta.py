# SPDX-License-Identifier: ISC
# What psycopg 3 and asyncpg ask about types. Prints "ok NAME" or "not ok NAME: why".
import asyncio
import os
import sys

sys.path.pop(0)  # this folder has files named like drivers
import asyncpg
import psycopg
from psycopg.types import TypeInfo
from psycopg.types.composite import CompositeInfo
from psycopg.types.enum import EnumInfo
from psycopg.types.range import RangeInfo

host, port, user, db = (os.environ["BH_" + k] for k in ("HOST", "PORT", "USER", "DB"))


def report(name, f):
    try:
        print(("ok " if f() else "not ok ") + name)
    except Exception as x:  # one line per step, whatever went wrong
        print("not ok %s: %s" % (name, str(x).replace("\n", " ")[:600]))


with psycopg.connect(host=host, port=port, user=user, dbname=db, autocommit=True) as c:
    report("psycopg TypeInfo", lambda: TypeInfo.fetch(c, "word").oid > 16384)
    report("psycopg EnumInfo", lambda: list(EnumInfo.fetch(c, "mood").labels) == ["sad", "happy"])
    report("psycopg CompositeInfo", lambda: list(CompositeInfo.fetch(c, "pair").field_names) == ["a", "b"])
    report("psycopg RangeInfo", lambda: RangeInfo.fetch(c, "int4range").subtype_oid == 23)
    report("psycopg reads an enum", lambda: c.execute("SELECT m FROM docs WHERE tenant_id = 'acme' AND id = 2").fetchone() == (None,))


async def main():
    c = await asyncpg.connect(host=host, port=int(port), user=user, database=db)
    steps = [
        ("enum", "SELECT 'sad'::mood", "sad"),
        ("array of enums", "SELECT ARRAY['sad']::mood[]", ["sad"]),
        ("domain", "SELECT 'x'::word", "x"),
        ("composite", "SELECT ROW(1, 'x')::pair", (1, "x")),
    ]
    for name, sql, want in steps:
        try:
            v = await c.fetchval(sql)
            v = tuple(v) if name == "composite" else v
            print(("ok " if v == want else "not ok ") + "asyncpg " + name)
        except Exception as x:  # one line per step, whatever went wrong
            print("not ok asyncpg %s: %s" % (name, str(x).replace("\n", " ")[:600]))
    await c.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=str)
    print("ok asyncpg set_type_codec")
    s = await c.prepare("SELECT id, m FROM docs WHERE tenant_id = 'acme'")
    print("ok asyncpg attributes" if [a.type.name for a in s.get_attributes()] == ["int4", "mood"] else "not ok asyncpg attributes")
    await c.close()


asyncio.run(main())
