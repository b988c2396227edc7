/* SPDX-License-Identifier: ISC */
/* Loading auth_hba_file, auth_ident_file and auth_ldap_options; which keys auth_type needs. */
#include "conf/hba.h"
#include "conf/load.h"

static void read_file(struct load *l, const char *key, const char *path, struct hba_load *h,
                      void (*parse)(struct hba_load *l, struct text body, const char *name,
                                    struct hba *out),
                      struct hba *out)
{
    struct file_text file;

    if (!load_file(l, key, path, &file))
        return;
    parse(h, text_n(file.p, file.n), path, out);
    file_wipe(&file);
}

static void check_rules(struct load *l, const struct hba *h)
{
    const struct settings *g = &l->s->g;

    for (int i = 0; i < h->n_rules; i++) {
        const struct hba_rule *r = &h->rules[i];
        const struct place at = { r->file, r->line };
        if (r->method == HBA_LDAP && !r->ldap && !l->s->ldap)
            trouble_problem(&l->t, at, text_n(NULL, 0),
                            "ldap needs options, on this line or in auth_ldap_options");
        if ((r->method == HBA_CERT || r->clientcert) && g->client_tls_sslmode < 4)
            trouble_warn(&l->t, at, text_n(NULL, 0),
                         "client_tls_sslmode is not verify-ca or verify-full: clients are not "
                         "asked for certificates, so that nobody passes here");
    }
    if (!h->n_rules && l->ini.may_read)
        trouble_warn(&l->t, load_key_at(l, "auth_hba_file"), TEXT("auth_hba_file"),
                     "there is no rule in it: nobody can log in");
}

static void check_auth_dbname(struct load *l, const char *name, struct place at)
{
    if (name && (strcmp(name, "pgbouncer") == 0 || strcmp(name, "pgbulkhead") == 0))
        trouble_problem(&l->t, at, TEXT("auth_dbname"),
                        "cannot use the reserved \"%s\" database as an auth_dbname", name);
}

void load_access(struct load *l)
{
    struct setup *s = l->s;
    const struct settings *g = &s->g;
    struct hba_load h = { l->a, l->mem.secrets, &s->patterns, &l->t, l->ini.may_read };
    struct hba *out = ARENA_NEW(l->a, struct hba);
    struct err e = { 0 };

    check_auth_dbname(l, g->auth_dbname, load_key_at(l, "auth_dbname"));
    for (int i = 0; i < s->n_databases; i++)
        check_auth_dbname(l, s->databases[i]->auth_dbname, l->db_at[i]);
    if (s->autodb)
        check_auth_dbname(l, s->autodb->auth_dbname, l->auto_at);
    if (g->auth_ldap_options[0] && !(s->ldap = ldap_options(text_of(g->auth_ldap_options), &h, &e)))
        trouble_problem(&l->t, load_key_at(l, "auth_ldap_options"), TEXT("auth_ldap_options"), "%s",
                        e.msg);
    if (g->auth_type == AUTH_LDAP && !g->auth_ldap_options[0])
        trouble_problem(&l->t, load_key_at(l, "auth_type"), TEXT("auth_type"),
                        "auth_type=ldap needs auth_ldap_options");
#ifndef HAVE_LDAP
    if (g->auth_type == AUTH_LDAP)
        trouble_problem(&l->t, load_key_at(l, "auth_type"), TEXT("auth_type"),
                        "ldap: this program was built without it");
#endif
#ifndef HAVE_PAM
    if (g->auth_type == AUTH_PAM)
        trouble_problem(&l->t, load_key_at(l, "auth_type"), TEXT("auth_type"),
                        "pam: this program was built without it");
#endif
    if (g->auth_type != AUTH_HBA)
        return;
    if (!g->auth_hba_file[0])
        trouble_problem(&l->t, load_key_at(l, "auth_type"), TEXT("auth_type"),
                        "auth_type=hba needs auth_hba_file");
    read_file(l, "auth_hba_file", g->auth_hba_file, &h, hba_parse, out);
    read_file(l, "auth_ident_file", g->auth_ident_file, &h, ident_parse, out);
    hba_check_maps(&h, out);
    check_rules(l, out);
    s->hba = out;
}
