/* SPDX-License-Identifier: ISC */
/* Guard, blanking, parser and conversion over any bytes: no crash; a copy is equal; a second parse
 * gives the same tree. */
#include "base/check.h"
#include "tenant/guard.h"
#include "tenant/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool known(const struct node *n)
{
    if (!n)
        return true;
    if (node_kind_opaque(n->kind))
        return false;
    for (uint32_t i = 0; i < n->n_fields; i++)
        if (n->fields[i].type == F_NODE && !known(n->fields[i].node))
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct tree t, u;
    struct err e = { 0 };
    struct guard_settings s = { true, true };
    arena_init(&a, 0);
    struct text sql = arena_text(&a, text_n((const char *)data, size));
    if (guard_check(sql, &s, NULL, NULL, NULL) == GUARD_OK) {
        struct text b = guard_blank(&a, sql);
        bool fine = tree_parse(NULL, b, &a, &t, &e);
        CHECK(fine == tree_parse(NULL, b, &a, &u, &e) && t.n_stmts == u.n_stmts);
        for (int i = 0; i < t.n_stmts; i++) {
            struct node *n = t.stmts[i].stmt;
            CHECK(tree_equal(n, node_copy(&a, n)) == known(n));
            CHECK(tree_equal(n, u.stmts[i].stmt) == known(n));
            CHECK(t.stmts[i].loc >= 0 && t.stmts[i].len >= 0 &&
                  (size_t)(t.stmts[i].loc + t.stmts[i].len) <= sql.n);
        }
    }
    arena_release(&a);
    return 0;
}
