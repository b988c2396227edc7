# SPDX-License-Identifier: ISC
"""An application on Django's models, which do not know that there are tenants (doc/tenants.md, "Django")."""
import django
import os
import sys
import types

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "clients"))
from common import DB, HOST, PORT, USER, end, ok  # noqa: E402
from django.conf import settings

sys.modules["shop"] = types.ModuleType("shop")  # an application's package, made of this file
sys.modules["shop"].__file__ = __file__
settings.configure(
    INSTALLED_APPS=["shop"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": HOST,
            "PORT": PORT,
            "USER": USER,
            "NAME": DB,
            "CONN_MAX_AGE": 600,
            "DISABLE_SERVER_SIDE_CURSORS": True,
        }
    },
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from django.db import DatabaseError, connection, models, transaction  # noqa: E402
from django.db.models import Avg, Count, Exists, F, OuterRef, Q, Subquery, Sum, Window  # noqa: E402
from django.db.models.functions import Coalesce, Lower, RowNumber, TruncMonth  # noqa: E402


class Author(models.Model):
    name = models.TextField()

    class Meta:
        app_label = "shop"
        db_table = "authors"


class Book(models.Model):
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    title = models.CharField(max_length=100)
    pages = models.IntegerField(default=1)
    meta = models.JSONField(default=dict)
    made = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "shop"
        db_table = "books"


others = Author.objects.count()
ok(others == 0, "starts with nothing of others")
a = Author.objects.create(name="Ada")
b = Author(name="Bob")
b.save()
ok(a.pk and b.pk and a.pk != b.pk, "create and save give keys")
Book.objects.bulk_create([Book(author=a, title=f"title {i}", pages=i * 10, meta={"n": i}) for i in range(1, 21)])
ok(Book.objects.count() == 20, "bulk_create")
ok(Book.objects.filter(author__name="Ada", pages__gt=100).count() == 10, "a filter over a relation")
ok(len(list(Book.objects.select_related("author").order_by("-pages")[:5])) == 5, "select_related, order and slice")
ok([len(x.books.all()) for x in Author.objects.prefetch_related("books").order_by("name")] == [20, 0], "prefetch_related")
ok(Author.objects.annotate(n=Count("books"), p=Coalesce(Sum("books__pages"), 0)).get(name="Ada").n == 20, "annotate")
ok(Book.objects.aggregate(Avg("pages"))["pages__avg"] == 105, "aggregate")
ok(Book.objects.filter(Q(pages=10) | Q(title__icontains="TITLE 2")).count() == 3, "Q with OR, icontains")
ok(Book.objects.filter(meta__n__gte=19).count() == 2, "a JSON field")
ok(Author.objects.filter(Exists(Book.objects.filter(author=OuterRef("pk")))).count() == 1, "Exists")
ok(Author.objects.exclude(books__pages__gt=5).count() == 1, "exclude over a relation")
newest = Book.objects.filter(author=OuterRef("pk")).order_by("-pages").values("title")[:1]
ok(Author.objects.annotate(t=Subquery(newest)).get(pk=a.pk).t == "title 20", "Subquery")
ok(Book.objects.annotate(r=Window(RowNumber(), order_by=F("pages").desc())).first().r >= 1, "Window")
ok(list(Book.objects.annotate(m=TruncMonth("made")).values("m").annotate(n=Count("id")).values_list("n", flat=True)) == [20], "TruncMonth, values")
ok(Book.objects.values_list(Lower("title"), flat=True).distinct().count() == 20, "distinct")
ok(Book.objects.filter(pages__in=[10, 20, 30]).update(pages=F("pages") + 1) == 3, "update with F")
x, made = Author.objects.get_or_create(name="Ada")
ok(x.pk == a.pk and not made, "get_or_create finds")
x, made = Author.objects.get_or_create(name="Cyd")
ok(made, "get_or_create makes")
x, made = Book.objects.update_or_create(title="title 1", defaults={"pages": 7, "author": a})
ok(not made and Book.objects.get(title="title 1").pages == 7, "update_or_create")
with transaction.atomic():
    ok(Book.objects.select_for_update().get(title="title 2").pages == 21, "select_for_update")
    try:
        with transaction.atomic():
            Author.objects.create(pk=a.pk, name="twice")
    except DatabaseError:
        pass
    Author.objects.create(name="after the savepoint")
ok(Author.objects.filter(name="after the savepoint").exists(), "atomic with a savepoint")
ok(Book.objects.all().union(Book.objects.filter(pages__gt=5)).count() == 20, "union")
ok(len(list(Book.objects.raw("SELECT id, title FROM books WHERE pages > %s", [100]))) == 10, "raw")
ok(sum(1 for _ in Book.objects.iterator()) == 20, "iterator")
ok(Book.objects.filter(author=b).delete()[0] == 0 and a.delete()[0] == 21, "delete follows relations")
with connection.cursor() as c:
    c.execute("SELECT count(*) FROM books")
    ok(c.fetchone()[0] == 0, "a cursor")
    try:
        c.execute("INSERT INTO authors (tenant_id, name) VALUES ('other', 'planted')")
        ok(False, "a foreign row is refused")
    except DatabaseError as e:
        ok("wrong_tenant" in str(e), "a foreign row is refused")
end()
