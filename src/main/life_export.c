/* SPDX-License-Identifier: ISC */
/* EXPORT TENANT: all rows of one tenant as files that psql can load again. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "main/life.h"
#include "wire/fields.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct out_file {
    int fd;
    const char *name;
    EVP_MD_CTX *md;
    uint64_t bytes;
};

static bool write_all(struct out_file *f, const char *p, size_t n, struct err *e)
{
    f->bytes += n;
    if (f->md && EVP_DigestUpdate(f->md, p, n) != 1)
        return err_set(e, "cannot compute the digest of %s", f->name);
    while (n > 0) {
        ssize_t w = write(f->fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return err_set(e, "cannot write %s: %s", f->name, strerror(errno));
        p += w;
        n -= (size_t)w;
    }
    return true;
}

static bool take(void *arg, const char *p, size_t n, struct err *e)
{
    return write_all(arg, p, n, e);
}

static bool open_file(int dir, const char *name, struct out_file *f, struct err *e)
{
    *f = (struct out_file){ .name = name };
    f->fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return f->fd >= 0 || err_set(e, "cannot create %s: %s", name, strerror(errno));
}

static bool close_file(struct out_file *f, bool ok, struct err *e)
{
    if (ok && fsync(f->fd) < 0)
        ok = err_set(e, "cannot write %s: %s", f->name, strerror(errno));
    if (close(f->fd) < 0 && ok)
        ok = err_set(e, "cannot close %s: %s", f->name, strerror(errno));
    return ok;
}

/* ---- one table ---- */

/* SQL names, or JSON strings; generated columns cannot be loaded. */
static void columns(const struct cat_relation *c, struct buf *b, bool json)
{
    const char *between = "";

    for (int i = 0; i < c->n_columns; i++) {
        if (c->columns[i].generated)
            continue;
        buf_printf(b, "%s", between);
        if (json)
            json_text(b, c->columns[i].name);
        else
            wire_quote_ident(b, c->columns[i].name);
        between = ", ";
    }
}

static struct text file_name(struct arena *a, const struct tenant_table *t, int i)
{
    struct text full = arena_printf(a, "%03d-%.*s.%.*s.copy", i + 1, TEXT_ARG(t->rel->schema),
                                    TEXT_ARG(t->rel->name));
    char *safe = arena_strdup(a, full.p);
    for (char *p = safe; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *p))
            *p = '_';
    return text_of(safe);
}

static bool export_table(PGconn *pg, int dir, const char *name, struct tenant_table *t,
                         int cancel_fd, char digest[65], struct err *e)
{
    struct out_file f;
    struct buf sql;
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (!open_file(dir, name, &f, e))
        return false;
    buf_init(&sql);
    buf_printf(&sql, "COPY (SELECT ");
    columns(t->rel->cat, &sql, false);
    buf_printf(&sql, " FROM %.*s WHERE %.*s) TO STDOUT", TEXT_ARG(t->from), TEXT_ARG(t->condition));
    buf_char(&sql, '\0');
    f.md = EVP_MD_CTX_new();
    bool ok = !sql.failed && f.md && EVP_DigestInit_ex(f.md, EVP_sha256(), NULL) == 1;
    if (!ok)
        err_set_state(e, "53200", "out of memory");
    ok = ok && backend_copy_out(pg, sql.p, cancel_fd, take, &f, &t->rows, e);
    ok = ok && EVP_DigestFinal_ex(f.md, md, &n) == 1;
    for (unsigned i = 0; ok && i < n; i++)
        snprintf(digest + 2 * i, 3, "%02x", md[i]);
    EVP_MD_CTX_free(f.md);
    buf_release(&sql);
    return close_file(&f, ok, e);
}

/* ---- manifest and restore script ---- */

static void manifest_begin(struct buf *b, PGconn *pg, const struct life_request *rq)
{
    char when[32];
    time_t now = (time_t)(clock_wall_us() / USEC_PER_SEC);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_printf(b, "{\n  \"format\": 1,\n  \"tenant\": ");
    json_text(b, rq->identity->claims[0].value);
    buf_printf(b, ",\n  \"database\": ");
    json_text(b, rq->database);
    buf_printf(b, ",\n  \"time\": \"%s\",\n  \"server_version\": %d,\n  \"tables\": [", when,
               PQserverVersion(pg));
}

static void manifest_table(struct buf *b, const struct tenant_table *t, const char *file,
                           const char *digest, bool first)
{
    buf_printf(b, "%s\n    { \"schema\": ", first ? "" : ",");
    json_text(b, t->rel->schema);
    buf_printf(b, ", \"table\": ");
    json_text(b, t->rel->name);
    buf_printf(b, ", \"columns\": [");
    columns(t->rel->cat, b, true);
    buf_printf(b, "], \"rows\": %lld, \"file\": ", (long long)t->rows);
    json_text(b, text_of(file));
    buf_printf(b, ", \"sha256\": \"%s\" }", digest);
}

/* psql's \copy reads its line to the end; a name with a line feed would end it early. */
static bool restore_table(struct buf *b, const struct tenant_table *t, const char *file,
                          struct err *e)
{
    size_t from = b->n;

    buf_printf(b, "\\copy %.*s (", TEXT_ARG(t->name));
    columns(t->rel->cat, b, false);
    buf_printf(b, ") FROM '%s'\n", file);
    if (!b->failed && memchr(b->p + from, '\n', b->n - from - 1))
        return err_set(e, "a name of table %.*s holds a line feed", TEXT_ARG(t->name));
    return true;
}

static bool save(int dir, const char *name, const struct buf *b, struct err *e)
{
    struct out_file f;

    if (b->failed)
        return err_set_state(e, "53200", "out of memory");
    if (!open_file(dir, name, &f, e))
        return false;
    return close_file(&f, write_all(&f, buf_data(b), buf_len(b), e), e);
}

static bool has_circle(const struct tenant_tables *t)
{
    for (int i = 1; i < t->n; i++)
        if (t->v[i].group == t->v[i - 1].group)
            return true;
    return false;
}

static bool export_all(PGconn *pg, const struct life_request *rq, int dir, struct arena *a,
                       struct tenant_tables *t, struct err *e)
{
    struct buf manifest, restore;
    char digest[65] = "";
    bool ok = true;

    buf_init(&manifest);
    buf_init(&restore);
    manifest_begin(&manifest, pg, rq);
    buf_printf(&restore,
               "-- psql -1 -v ON_ERROR_STOP=1 -f restore.sql, in this directory, as a role that\n"
               "-- row-level security does not hide rows from. Sequences are not set.\n"
               "SET row_security = off;\nSET CONSTRAINTS ALL DEFERRED;\n");
    if (has_circle(t))
        buf_printf(
            &restore,
            "-- Some tables reference one another in a circle: where those foreign keys are not\n"
            "-- deferrable, a superuser says SET session_replication_role = replica first.\n");
    for (int i = 0; ok && i < t->n; i++) {
        struct text file = file_name(a, &t->v[i], i);
        ok = export_table(pg, dir, file.p, &t->v[i], rq->cancel_fd, digest, e);
        if (ok)
            manifest_table(&manifest, &t->v[i], file.p, digest, i == 0);
        ok = ok && restore_table(&restore, &t->v[i], file.p, e);
    }
    buf_printf(&manifest, "\n  ]\n}\n");
    ok = ok && save(dir, "manifest.json", &manifest, e) && save(dir, "restore.sql", &restore, e);
    buf_release(&manifest);
    buf_release(&restore);
    return ok;
}

static void remove_all(int dir, const char *path, struct arena *a, const struct tenant_tables *t)
{
    for (int i = 0; i < t->n; i++)
        (void)unlinkat(dir, file_name(a, &t->v[i], i).p, 0);
    (void)unlinkat(dir, "manifest.json", 0);
    (void)unlinkat(dir, "restore.sql", 0);
    (void)rmdir(path);
}

bool life_export(PGconn *pg, const struct life_request *rq, struct arena *a,
                 struct tenant_tables *t, struct err *e)
{
    struct err ignored = { 0 };
    PGresult *r;

    *t = (struct tenant_tables){ .n = 0 };
    if (mkdir(rq->dir, 0700) < 0)
        return err_set(e, "cannot make directory %s: %s", rq->dir, strerror(errno));
    int dir = open(rq->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    bool ok = dir >= 0 || err_set(e, "cannot open directory %s: %s", rq->dir, strerror(errno));
    if (ok) {
        r = backend_run(
            pg, "begin",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL row_security = off;"
            " SET LOCAL search_path = ''; SET LOCAL statement_timeout = 0",
            rq->cancel_fd, e);
        ok = r != NULL;
        PQclear(r);
    }
    ok = ok && tenant_tables_plan(pg, rq->policy, rq->identity, a, t, e) &&
         export_all(pg, rq, dir, a, t, e);
    r = backend_run(pg, "end", "ROLLBACK", -1, &ignored);
    PQclear(r);
    if (ok && fsync(dir) < 0)
        ok = err_set(e, "cannot write directory %s: %s", rq->dir, strerror(errno));
    if (!ok && dir >= 0)
        remove_all(dir, rq->dir, a, t);
    if (dir >= 0)
        close(dir);
    return ok;
}
