# SPDX-License-Identifier: ISC
"""An application on SQLAlchemy's ORM (doc/tenants.md, "SQLAlchemy")."""
import os
import sys

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "clients"))
from common import DB, HOST, PORT, USER, end, ok  # noqa: E402
from sqlalchemy import JSON, Column, ForeignKey, Integer, Text, create_engine, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, declarative_base, joinedload, relationship, selectinload

engine = create_engine(f"postgresql+psycopg2://{USER}@{HOST}:{PORT}/{DB}", pool_size=3, pool_pre_ping=True)
Base = declarative_base()


class Author(Base):
    __tablename__ = "authors"
    id = Column(Integer, primary_key=True)
    name = Column(Text)
    books = relationship("Book", back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "books"
    id = Column(Integer, primary_key=True)
    author_id = Column(ForeignKey("authors.id"))
    title = Column(Text)
    pages = Column(Integer)
    meta = Column(JSON)
    author = relationship(Author, back_populates="books")


with Session(engine) as s:
    ok(s.scalar(select(func.count()).select_from(Author)) == 0, "starts with nothing of others")
    a = Author(name="Ada", books=[Book(title=f"title {i}", pages=i * 10, meta={"n": i}) for i in range(1, 11)])
    s.add_all([a, Author(name="Bob")])
    s.commit()
    ok(a.id is not None and len(a.books) == 10, "a tree of objects")
    ok(len(s.scalars(select(Author).options(selectinload(Author.books))).all()) == 2, "selectinload")
    rows = s.scalars(select(Author).options(joinedload(Author.books)).order_by(Author.name).limit(1)).unique().all()
    ok(len(rows[0].books) == 10, "joinedload with a limit (a sub-select)")
    q = select(Author.name, func.count(Book.id), func.sum(Book.pages)).outerjoin(Book).group_by(Author.name).order_by(Author.name)
    ok([tuple(r) for r in s.execute(q)] == [("Ada", 10, 550), ("Bob", 0, None)], "outer join and group")
    ok(s.scalar(select(func.count()).where(Book.title.like("title 1%"))) == 2, "LIKE")
    sub = select(Book.author_id, func.max(Book.pages).label("m")).group_by(Book.author_id).subquery()
    ok(s.execute(select(Author.name, sub.c.m).join(sub, sub.c.author_id == Author.id)).all() == [("Ada", 100)], "a sub-query")
    cte = select(Book).where(Book.pages > 50).cte()
    ok(s.scalar(select(func.count()).select_from(cte)) == 5, "a CTE")
    rank = func.row_number().over(partition_by=Book.author_id, order_by=Book.pages.desc()).label("r")
    ok(s.execute(select(Book.title, rank).order_by("r").limit(1)).first() == ("title 10", 1), "a window")
    ok(s.query(Book).filter(Book.pages <= 20).update({Book.pages: Book.pages + 1}, synchronize_session=False) == 2, "update")
    s.commit()
    up = insert(Book).values(id=a.books[0].id, title="up", pages=1, author_id=a.id)
    s.execute(up.on_conflict_do_nothing())
    s.commit()
    ok(s.scalar(select(func.count()).select_from(Book)) == 10, "ON CONFLICT DO NOTHING")
    with s.begin_nested():
        s.add(Author(name="nested"))
    s.commit()
    ok(s.scalar(select(func.count()).where(Author.name == "nested")) == 1, "a savepoint")
    ok(s.execute(select(Book).with_for_update().where(Book.pages == 30)).scalar_one().title == "title 3", "FOR UPDATE")
    s.delete(a)
    s.commit()
    ok(s.scalar(select(func.count()).select_from(Book)) == 0, "delete follows relations")
    try:
        s.execute(text("UPDATE authors SET tenant_id = 'other'"))
        ok(False, "a row cannot be given away")
    except DBAPIError as e:
        ok("tenant isolation" in str(e), "a row cannot be given away")
end()
