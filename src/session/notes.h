/* SPDX-License-Identifier: ISC */
/*
 * What a worker remembers of tenants and of refused statements, for the console. Bounded: of
 * statements the rarest and oldest make room for new ones, of tenants those without clients that
 * were not seen for longest. The worker's thread only.
 */
#ifndef SESSION_NOTES_H
#define SESSION_NOTES_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "session/top.h"

#define NOTES_STATEMENTS 1000 /* per worker */
#define NOTES_TENANTS 10000   /* per worker, without those that have clients */
#define NOTES_USERS 8         /* login users that a tenant shows */

enum note_kind {
    NOTE_DENIED,        /* refused */
    NOTE_WOULD_REFUSE,  /* audit mode: would be refused */
    NOTE_WOULD_REWRITE, /* audit mode: would be rewritten */
    NOTE_KINDS
};

/* A statement by its template. */
struct note {
    enum note_kind kind;
    int reason; /* enum refusal; of NOTE_WOULD_REWRITE -1 */
    struct text database, template, about, fix;
    struct text tenant, user, trace; /* of the last one; trace: as a header, or empty */
    uint64_t count;
    usec_t first, last; /* wall clock */
};

struct tenant_note {
    struct list node; /* in the list of those without clients, longest first */
    struct text name; /* map key */
    uint64_t passed, rewritten, refused, audited;
    struct top_use use;
    usec_t last_seen; /* wall clock; 0 = logged in only */
    int clients;
    int n_users; /* NOTES_USERS + 1: there are more */
    char *users[NOTES_USERS];
};

struct notes;

/* NULL: out of memory. */
struct notes *notes_new(void) __attribute__((warn_unused_result));
void notes_free(struct notes *n);

/* Counts the statement: n->count, first and last are not looked at. now: wall clock. */
void notes_add(struct notes *n, const struct note *what, usec_t now);
/* Forgets the statements of these kinds (bits of 1 << kind). */
void notes_reset(struct notes *n, unsigned kinds);
/* Each statement: *pos starts at 0; NULL at the end. Nothing may be added meanwhile. */
const struct note *notes_next(const struct notes *n, size_t *pos);

/* The tenant's entry, which stays until notes_leave; NULL: out of memory. */
struct tenant_note *notes_join(struct notes *n, struct text tenant, struct text user);
void notes_leave(struct notes *n, struct tenant_note *t);
/* The tenant's entry as it is, NULL: none. */
struct tenant_note *notes_tenant(struct notes *n, struct text tenant);
/* Divides the scores of all tenants (top.h). */
void notes_scale(struct notes *n, double divisor);
/* Each tenant, as notes_next. */
const struct tenant_note *notes_next_tenant(const struct notes *n, size_t *pos);

#endif
