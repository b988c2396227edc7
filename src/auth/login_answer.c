/* SPDX-License-Identifier: ISC */
/* Answering a server's Authentication requests. A server may ask once; it is not trusted to ask
 * again with other salts. */
#include "auth/login.h"
#include "base/random.h"
#include "wire/fields.h"

#include <stdlib.h>

enum stage { STAGE_START, STAGE_SCRAM_CONTINUE, STAGE_SCRAM_FINAL, STAGE_SENT, STAGE_OVER };

struct login_answer {
    enum stage stage; /* SENT: nothing is left but AuthenticationOk */
    struct buf user;
    struct buf secret; /* plain or md5; empty when there is none to answer with */
    struct scram_keys keys;
    struct scram_binding binding;
    struct scram_client *scram;
};

struct login_answer *login_answer_new(struct text user, struct text secret,
                                      const struct scram_keys *keys)
{
    struct login_answer *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    buf_text_append(&a->user, user);
    if (!scram_is_secret(secret)) /* of no use to a client */
        buf_text_append(&a->secret, secret);
    if (keys)
        a->keys = *keys;
    if (a->user.failed || a->secret.failed) {
        login_answer_free(a);
        return NULL;
    }
    return a;
}

void login_answer_bind(struct login_answer *a, const struct scram_binding *b)
{
    a->binding = *b;
}

void login_answer_free(struct login_answer *a)
{
    if (!a)
        return;
    buf_release(&a->user);
    buf_wipe(&a->secret);
    scram_client_free(a->scram);
    wipe(a, sizeof(*a));
    free(a);
}

static enum auth_step refuse(struct err *e, const char *sqlstate, const char *what)
{
    err_set_state(e, sqlstate, "%s", what);
    return AUTH_REFUSED;
}

static enum auth_step no_memory(struct err *e)
{
    return refuse(e, "53200", "out of memory");
}

static void send_body(struct buf *out, struct text body)
{
    size_t mark = msg_begin(out, 'p');
    msg_bytes(out, body.p, body.n);
    msg_end(out, mark);
}

static enum auth_step send_plain(struct login_answer *a, struct buf *out, struct err *e)
{
    struct text secret = buf_text(&a->secret);
    if (!secret.n || md5_is_secret(secret))
        return refuse(
            e, "28P01",
            "wrong password type: the server asks for a plain password, and none is known");
    if (!buf_reserve(out, secret.n + 6)) /* at once: growing would leave copies behind */
        return no_memory(e);
    size_t mark = msg_begin(out, 'p');
    msg_cstr(out, secret);
    msg_end(out, mark);
    a->stage = STAGE_SENT;
    return out->failed ? no_memory(e) : AUTH_MORE;
}

static enum auth_step send_md5(struct login_answer *a, struct rd *r, struct buf *out, struct err *e)
{
    struct text salt = rd_bytes(r, 4);
    char answer[36];
    if (!rd_done(r))
        return refuse(e, "08P01", "malformed md5 request from server");
    if (!buf_len(&a->secret))
        return refuse(
            e, "28P01",
            "wrong password type: the server asks for an md5 password, and none is known");
    if (!md5_answer(buf_text(&a->secret), buf_text(&a->user), (const unsigned char *)salt.p,
                    answer))
        return refuse(e, "28P01", "server asks for an md5 password, and OpenSSL has no MD5");
    send_body(out, text_n(answer, sizeof(answer)));
    a->stage = STAGE_SENT;
    return out->failed ? no_memory(e) : AUTH_MORE;
}

/* The three SCRAM messages of a server. */
static enum auth_step scram(struct login_answer *a, uint32_t code, struct text data,
                            struct buf *out, struct err *e)
{
    enum auth_step step;
    struct buf answer;
    buf_init(&answer);
    if (code == 12) {
        step = scram_client_final(a->scram, data.p, data.n, e);
        a->stage = STAGE_SENT;
        return step == AUTH_OK ? AUTH_MORE : step;
    }
    if (code == 10) {
        struct text secret = buf_text(&a->secret);
        if (md5_is_secret(secret))
            secret = text_n(NULL, 0);
        a->scram = scram_client_new(secret, &a->keys);
        if (!a->scram)
            return no_memory(e);
        scram_client_bind(a->scram, &a->binding);
        step = scram_client_first(a->scram, data.p, data.n, &answer, e);
        a->stage = STAGE_SCRAM_CONTINUE;
    } else {
        step = scram_client_continue(a->scram, data.p, data.n, &answer, e);
        a->stage = STAGE_SCRAM_FINAL;
    }
    if (step == AUTH_MORE) {
        send_body(out, buf_text(&answer));
        if (out->failed)
            step = no_memory(e);
    }
    buf_release(&answer);
    return step;
}

static enum auth_step answer_code(struct login_answer *a, uint32_t code, struct rd *r,
                                  struct buf *out, struct err *e)
{
    switch (code) {
    case 0:
        if (!rd_done(r))
            return refuse(e, "08P01", "malformed AuthenticationOk from server");
        if (a->stage != STAGE_START && a->stage != STAGE_SENT)
            return refuse(e, "28P01", "server ended the SCRAM exchange without proving itself");
        if (a->binding.required && !a->scram) /* with it, the exchange was bound */
            return refuse(e, "28P01",
                          "channel binding is required, and the server let us in without it");
        return AUTH_OK;
    case 3:
    case 5:
    case 10:
        if (a->stage != STAGE_START)
            return refuse(e, "08P01", "server asks for authentication again");
        if (code != 10 && a->binding.required) /* before a secret is told */
            return refuse(
                e, "28P01",
                "channel binding is required, and the server asks for a password without it");
        if (code == 10)
            return scram(a, code, rd_bytes(r, rd_left(r)), out, e);
        if (code == 5)
            return send_md5(a, r, out, e);
        if (!rd_done(r))
            return refuse(e, "08P01", "malformed password request from server");
        return send_plain(a, out, e);
    case 11:
    case 12:
        if (a->stage != (code == 11 ? STAGE_SCRAM_CONTINUE : STAGE_SCRAM_FINAL))
            return refuse(e, "08P01", "server sent a SASL message out of order");
        return scram(a, code, rd_bytes(r, rd_left(r)), out, e);
    default:
        err_set_state(e, "28P01",
                      "server asks for authentication method %u, which is not supported",
                      (unsigned)code);
        return AUTH_REFUSED;
    }
}

enum auth_step login_answer_step(struct login_answer *a, const char *body, size_t n,
                                 struct buf *out, struct err *e)
{
    struct rd r = rd_init(body, n);
    uint32_t code = rd_u32(&r);
    if (r.bad || a->stage == STAGE_OVER)
        return refuse(e, "08P01", "unexpected Authentication message from server");
    enum auth_step step = answer_code(a, code, &r, out, e);
    if (step != AUTH_MORE)
        a->stage = STAGE_OVER;
    return step;
}
