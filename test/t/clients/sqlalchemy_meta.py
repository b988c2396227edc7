# SPDX-License-Identifier: ISC
# SQLAlchemy's reflection. Prints "ok NAME" or "not ok NAME: why".
import os
import sys

sys.path.pop(0)  # this folder has files named like drivers
import sqlalchemy as sa

e = sa.create_engine("postgresql+psycopg2://%s@%s:%s/%s" % tuple(os.environ["BH_" + k] for k in ("USER", "HOST", "PORT", "DB")))


def step(name, f):
    try:
        print(("ok " if f() else "not ok ") + name)
    except Exception as x:  # one line per step, whatever went wrong
        print("not ok %s: %s" % (name, str(x).replace("\n", " ")[:600]))


i = sa.inspect(e)
step("get_table_names", lambda: "docs" in i.get_table_names())
step("get_view_names", lambda: "v_docs" in i.get_view_names())
step("get_schema_names", lambda: "public" in i.get_schema_names())
step("get_columns", lambda: [c["name"] for c in i.get_columns("docs")][:3] == ["id", "tenant_id", "title"])
step("get_columns of a view", lambda: [c["name"] for c in i.get_columns("v_docs")] == ["id", "tenant_id", "title"])
step("get_pk_constraint", lambda: i.get_pk_constraint("docs")["constrained_columns"] == ["id"])
step("get_foreign_keys", lambda: i.get_foreign_keys("notes")[0]["referred_table"] == "docs")
step("get_indexes", lambda: i.get_indexes("notes")[0]["column_names"] == ["doc"])
step("get_unique_constraints", lambda: i.get_unique_constraints("docs") == [])
step("get_check_constraints", lambda: len(i.get_check_constraints("docs")) == 1)
step("get_table_comment", lambda: i.get_table_comment("docs")["text"] is None)
step("get_enums", lambda: i.get_enums()[0]["labels"] == ["sad", "happy"])
step("get_view_definition is hidden", lambda: not i.get_view_definition("v_docs"))
step("has_table", lambda: i.has_table("docs") and not i.has_table("nosuch"))
step("get_sequence_names", lambda: "docs_id_seq" in i.get_sequence_names())
step("has_sequence", lambda: e.dialect.has_sequence(e.connect(), "docs_id_seq"))
m = sa.MetaData()
step("reflect", lambda: m.reflect(e, views=True) or "docs" in m.tables)
with e.begin() as c:
    d = m.tables["docs"]
    step("count of the reflected table", lambda: c.execute(sa.select(sa.func.count()).select_from(d).where(d.c.tenant_id == "acme")).scalar() == 1000)
