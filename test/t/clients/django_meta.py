# SPDX-License-Identifier: ISC
# Django's introspection, as inspectdb and migrations use it. Prints "ok NAME" or "not ok NAME: why".
import io
import os
import sys

sys.path.pop(0)  # this folder has files named like drivers
import django
from django.conf import settings
from django.core.management import call_command

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ["BH_DB"], "USER": os.environ["BH_USER"],
                                          "HOST": os.environ["BH_HOST"], "PORT": os.environ["BH_PORT"], "DISABLE_SERVER_SIDE_CURSORS": True}})
django.setup()
from django.db import connection


def step(name, f):
    try:
        print(("ok " if f() else "not ok ") + name)
    except Exception as x:  # one line per step, whatever went wrong
        print("not ok %s: %s" % (name, str(x).replace("\n", " ")[:600]))


def inspectdb():
    out = io.StringIO()
    call_command("inspectdb", stdout=out)
    text = out.getvalue()
    return "class Docs" in text and "# Unable" not in text and "models.ForeignKey" in text or print(text)


i = connection.introspection
with connection.cursor() as c:
    step("get_table_list", lambda: "docs" in [t.name for t in i.get_table_list(c)])
    # These read one row of each table without a condition: refused in reject mode.
    if os.environ["BH_DB"] != "reject":
        step("inspectdb", inspectdb)
        step("get_table_description", lambda: [d.name for d in i.get_table_description(c, "docs")][:3] == ["id", "tenant_id", "title"])
    step("get_sequences", lambda: i.get_sequences(c, "docs")[0]["name"] == "docs_id_seq")
    step("get_relations", lambda: i.get_relations(c, "notes") == {"doc": ("id", "docs")})
    step("get_key_columns", lambda: i.get_key_columns(c, "notes") == [("doc", "docs", "id")])
    step("get_constraints", lambda: any(k["primary_key"] for k in i.get_constraints(c, "docs").values()))
    step("get_primary_key_column", lambda: i.get_primary_key_column(c, "docs") == "id")
