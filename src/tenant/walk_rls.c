/* SPDX-License-Identifier: ISC */
/* tenant_mode=rls: which relations are open. Their rows are the server's business, all else in the
 * statement is judged as in the other modes. */
#include "tenant/trace.h"
#include "tenant/walk.h"

const struct policy_relation *walk_rls_relation(struct walk *w, struct node *rv,
                                                const struct policy_relation *r)
{
    if (r->cls == REL_SHARED && !r->rls_shows.n)
        return r;
    if (r->rls_open) {
        w->rls_rows = true;
        return r;
    }
    about_relation(w, rv, r);
    if (r->cls == REL_DENY && r->by_rule) {
        walk_refuse(w, REFUSAL_denied_relation, rv->loc, NULL, "Relation %.*s.%.*s: %.*s",
                    TEXT_ARG(r->schema), TEXT_ARG(r->name), TEXT_ARG(r->why));
        return NULL;
    }
    w->out->pub.wants_catalog = true; /* it may be forced by now */
    bool table = r->cat->kind == 'r' || r->cat->kind == 'p';
    struct text why = r->cls == REL_SHARED ? r->rls_shows : r->rls_why;
    walk_refuse(w, REFUSAL_rls_not_forced, rv->loc,
                table ? "ALTER TABLE ... ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; or "
                        "declare the relation in [tenant_rules] = shared."
                      : "Declare it by name in [tenant_rules]; make views security_invoker.",
                "Relation %.*s.%.*s: %.*s.", TEXT_ARG(r->schema), TEXT_ARG(r->name), TEXT_ARG(why));
    return NULL;
}

bool walk_rls_target(struct walk *w, struct node *rv, const struct policy_relation *r)
{
    const char *why = NULL;

    if (r->cls == REL_SHARED)
        why = "shared";
    else if (!r->rls_open)
        why = "it is a system relation";
    else if (r->is_view && !r->insertable)
        why = "views are written when they show the columns of one tenant table as they are";
    else if (r->cat->has_rules)
        why = "it has rules of its own";
    if (!why)
        return true;
    about_relation(w, rv, r);
    return walk_refuse(w, REFUSAL_read_only_relation, rv->loc, NULL,
                       "Relation %.*s.%.*s may not be changed (%s).", TEXT_ARG(r->schema),
                       TEXT_ARG(r->name), why);
}
