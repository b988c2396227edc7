/* SPDX-License-Identifier: ISC */
/* One load of the configuration under way: what its steps share. Private to conf. */
#ifndef CONF_LOAD_H
#define CONF_LOAD_H

#include "conf/file.h"
#include "conf/ini.h"
#include "conf/keys.h"

struct load {
    struct setup *s;
    struct arena *a; /* of s */
    struct key_memory mem;
    struct trouble t;
    struct ini ini;
    struct place *key_at;  /* per key of [pgbouncer]: the line that set it; file NULL = not set */
    struct place *db_at;   /* per entry of s->databases */
    struct place auto_at;  /* of "*" */
    struct place *user_at; /* per entry of s->users: its line in [users], file NULL = none */
    int user_cap;
};

/* A line of the section, in file order. */
void load_database(struct load *l, const struct ini_line *line);
void load_user(struct load *l, const struct ini_line *line);
void load_tenant(struct load *l, const struct ini_line *line);
void load_peer(struct load *l, const struct ini_line *line);
void load_rule(struct load *l, const struct ini_line *line);
void load_function(struct load *l, const struct ini_line *line);
void load_operator(struct load *l, const struct ini_line *line);

/* auth_file, admin_users and stats_users; after all sections. */
void load_user_lists(struct load *l);
/* The entry of that name (kept by copy), made when missing; index: its place in s->users (may be
 * NULL). */
struct user_conf *load_user_entry(struct load *l, struct text name, int *index);

/* What needs several keys at once: contradictions, files that must be readable. */
void load_check(struct load *l);
/* tenant_identity and the file of token keys, and whether users' identities agree with them; after
 * load_user_lists. */
void load_identity(struct load *l);
/* Rules of access, maps and directories, as auth_type needs them. */
void load_access(struct load *l);
/* Tokens of the metrics service, and what its keys contradict; after load_user_lists. */
void load_metrics_access(struct load *l);
/* Where a key of [pgbouncer] was set (file NULL: it has its default). */
struct place load_key_at(const struct load *l, const char *name);
/* Reads the file that a key names; the caller wipes it. false: none is named, none may be read, or
 * it cannot be, which is a problem of the key. */
bool load_file(struct load *l, const char *key, const char *path, struct file_text *out) MUST_CHECK;

/* Comma list → array in the arena (NULL-free; empty parts dropped). */
struct text *load_list(struct load *l, const char *list, int *n);

/* One pair of a line: looks the key up and stores it in base; problems and warnings are reported.
 */
void load_pair(struct load *l, struct key_table keys, struct text key, struct text value,
               void *base, struct place at);

/* Is the text a custom setting's name such as app.tenant_id? */
bool load_guc_ok(struct text name);

#endif
