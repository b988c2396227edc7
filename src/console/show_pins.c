/* SPDX-License-Identifier: ISC */
/* SHOW PINS: servers that stay with their clients; rows are made on the workers' threads. */
#include "console/internal.h"

#include "session/pins.h"

static const struct wire_column pin_columns[] = {
    COL_I("client"),
    COL_S("database"),
    COL_S("user"),
    COL_I("server"),
    COL_S("kind"),
    COL_S("statement"),
    COL_S("since"),
    COL_I("worker"),
};

static void put_pin(struct row *r, const struct server *s, usec_t mono, usec_t wall,
                    struct buf *out)
{
    const struct client *c = s->client;
    const struct pins *p = s->pins;
    struct buf names;

    buf_init(&names);
    pins_names(p->held | p->maybe | p->asked, &names);
    row_uint(r, c->id);
    row_text(r, c->db_name);
    row_text(r, c->user_name);
    row_uint(r, s->id);
    row_text(r, names.failed ? TEXT("") : buf_text(&names));
    row_z(r, p->sql);
    row_time(r, console_wall(p->since, mono, wall));
    row_int(r, c->engine->id);
    row_end(r, COLUMNS(pin_columns), out);
    buf_release(&names);
}

static void fn_pins(struct engine *e, struct ask *ask, struct ask_part *part)
{
    usec_t mono = clock_mono_us(), wall = clock_wall_us();
    struct row r;

    (void)ask;
    row_init(&r);
    LIST_FOREACH(n, &e->shards) {
        const struct shard *sh = LIST_ENTRY(n, struct shard, node);
        LIST_FOREACH(k, &sh->servers[SERVER_ACTIVE]) {
            const struct server *s = LIST_ENTRY(k, struct server, node);
            if (s->pins && s->client)
                put_pin(&r, s, mono, wall, &part->rows);
        }
    }
}

void show_pins(struct admin *a, const struct statement *st)
{
    (void)st;
    wire_rowdesc_build(&a->out, pin_columns, COLUMNS(pin_columns));
    admin_ask(a, TEXT(""), 0, fn_pins, NULL);
}
