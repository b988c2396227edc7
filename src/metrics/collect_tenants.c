/* SPDX-License-Identifier: ISC */
/* Which tenants have series of their own. */
#include "metrics/collect_tenants.h"

#include "base/map.h"
#include "metrics/collect.h"

#include <stdlib.h>

#define LIST_MAX (2 * TOP_MEASURES * TOP_MAX) /* shown, and about to be */
#define STAYS 1.25 /* one that is shown goes when another did so many times as much */
#define OTHERS "_other"

/* A tenant that is shown by some measure, or will be when its sums are known. */
struct shown {
    struct text name; /* own copy */
    unsigned on;      /* bits of measures by which it is shown */
    unsigned wanted;  /* by which it is to be */
    uint64_t base[TOP_MEASURES], last[TOP_MEASURES];
    const struct top_row *row; /* while tops_take runs; NULL: nobody knows it any more */
};

struct tops {
    struct shown list[LIST_MAX];
    struct text names[LIST_MAX];
    int n;
    uint64_t left[TOP_MEASURES];  /* shown by tenants that are not any more */
    uint64_t other[TOP_MEASURES]; /* of all that are not shown */
    bool taken;
};

struct tops *tops_new(void)
{
    return calloc(1, sizeof(struct tops));
}

void tops_free(struct tops *t)
{
    for (int i = 0; t && i < t->n; i++)
        free((void *)(uintptr_t)t->list[i].name.p);
    free(t);
}

const struct text *tops_names(const struct tops *t, int *n)
{
    *n = t->n;
    return t->names;
}

static void leave(struct tops *t, struct shown *s, int m)
{
    t->left[m] += s->last[m] - s->base[m];
    s->on &= ~(1U << m);
}

/* Sums that all workers were asked for. They fall when a worker forgets a tenant that has long had
 * no clients. */
static void new_sums(struct tops *t, struct shown *s)
{
    for (int m = 0; m < TOP_MEASURES; m++) {
        if (!(s->on & 1U << m))
            continue;
        if (!s->row || s->row->n[m] < s->last[m])
            leave(t, s, m);
        else
            s->last[m] = s->row->n[m];
    }
}

struct rank {
    double recent;
    const struct top_row *row;
    struct shown *shown; /* NULL: not in the list */
};

static int by_rank(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->recent != y->recent)
        return x->recent < y->recent ? 1 : -1;
    return text_cmp(x->row->name, y->row->name);
}

/* Into the list, to be asked for the next time. */
static void want(struct tops *t, const struct rank *r, int m)
{
    struct shown *s = r->shown;

    for (int i = 0; !s && i < t->n; i++) /* it came in by another measure just now */
        if (text_eq(t->list[i].name, r->row->name))
            s = &t->list[i];
    if (!s) {
        char *copy = t->n < LIST_MAX ? text_dup(r->row->name) : NULL;
        if (!copy)
            return;
        s = &t->list[t->n++];
        *s = (struct shown){ .name = text_n(copy, r->row->name.n) };
    }
    s->wanted |= 1U << m;
}

/* Who is shown by a measure: k of those that did most of late. */
static void choose(struct tops *t, struct rank *ranks, int n, int m, int k)
{
    for (int i = 0; i < n; i++) {
        const struct shown *s = ranks[i].shown;
        ranks[i].recent = ranks[i].row->recent[m] * (s && s->on & 1U << m ? STAYS : 1);
    }
    qsort(ranks, (size_t)n, sizeof(*ranks), by_rank);
    for (int i = k; i < n; i++)
        if (ranks[i].shown && ranks[i].shown->on & 1U << m)
            leave(t, ranks[i].shown, m);
    for (int i = 0; i < n && i < k && ranks[i].recent > 0; i++) {
        struct shown *s = ranks[i].shown;
        if (s && s->on & 1U << m)
            continue;
        if (!s || !ranks[i].row->exact) {
            want(t, &ranks[i], m);
            continue;
        }
        s->on |= 1U << m;
        s->base[m] = s->last[m] = ranks[i].row->n[m];
    }
}

/* Without those that nothing is wanted of. */
static void tidy(struct tops *t)
{
    int n = 0;

    for (int i = 0; i < t->n; i++) {
        if (t->list[i].on | t->list[i].wanted)
            t->list[n++] = t->list[i];
        else
            free((void *)(uintptr_t)t->list[i].name.p);
    }
    t->n = n;
    for (int i = 0; i < n; i++)
        t->names[i] = t->list[i].name;
}

static void sum_others(struct tops *t, const uint64_t *total)
{
    for (int m = 0; m < TOP_MEASURES; m++) {
        uint64_t out = t->left[m];
        for (int i = 0; i < t->n; i++)
            if (t->list[i].on & 1U << m)
                out += t->list[i].last[m] - t->list[i].base[m];
        if (total[m] > out && total[m] - out > t->other[m])
            t->other[m] = total[m] - out;
    }
}

void tops_take(struct tops *t, const struct top_found *f, int k)
{
    struct rank *ranks = calloc((size_t)f->n_rows + 1, sizeof(*ranks));
    struct map by_name;
    int n = 0;

    if (!ranks)
        return;
    map_init(&by_name);
    for (int i = 0; i < t->n; i++) {
        t->list[i].row = NULL;
        t->list[i].wanted = 0;
        map_put(&by_name, t->list[i].name, &t->list[i]);
    }
    for (int i = 0; i < f->n_rows; i++) {
        const struct top_row *row = &f->rows[i];
        struct shown *s = map_get(&by_name, row->name);
        if (s)
            s->row = row->exact ? row : NULL;
        if (!text_is(row->name, OTHERS)) /* a tenant of that name is one of the others */
            ranks[n++] = (struct rank){ .row = row, .shown = s };
    }
    map_release(&by_name);
    for (int i = 0; i < t->n; i++)
        new_sums(t, &t->list[i]);
    for (int m = 0; m < TOP_MEASURES; m++)
        choose(t, ranks, n, m, k);
    free(ranks);
    tidy(t);
    sum_others(t, f->total);
    t->taken = true;
}

void tops_write(const struct tops *t, struct expo *x)
{
    static const enum metric families[TOP_MEASURES] = {
        [TOP_QUERIES] = METRIC_tenant_top_queries_total,
        [TOP_US] = METRIC_tenant_top_seconds_total,
        [TOP_BYTES] = METRIC_tenant_top_bytes_total,
        [TOP_DENIALS] = METRIC_tenant_top_denials_total,
    };

    for (int m = 0; t->taken && m < TOP_MEASURES; m++) {
        collect_family(x, families[m]);
        for (int i = 0; i <= t->n; i++) {
            const struct shown *s = i < t->n ? &t->list[i] : NULL;
            if (s && !(s->on & 1U << m))
                continue;
            uint64_t v = s ? s->last[m] - s->base[m] : t->other[m];
            expo_label(x, "tenant", s ? s->name : TEXT(OTHERS));
            if (m == TOP_US)
                expo_usec(x, v);
            else
                expo_uint(x, v);
        }
    }
}
