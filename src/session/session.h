/* SPDX-License-Identifier: ISC */
/*
 * Functions that the files of this layer offer one another. All run on the engine's thread.
 */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "session/cancel.h"
#include "session/engine.h"

/* ---- say.c: log lines with the usual prefix; more in say.h ---- */
void client_log(const struct client *c, enum log_level lv, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void server_log(const struct server *s, enum log_level lv, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "db/user@host:port" as PgBouncer writes it in log lines: (nodb), (nouser), [v6 address],
 * unix(PID):unix_port. conn NULL: host ?. */
void client_who(char *out, size_t size, struct text db, struct text user, const struct conn *conn,
                int unix_port);

/* ---- engine.c ---- */
/* Asks for the end-of-turn work (burials, hand-overs) after the callbacks that run now. */
void engine_turn(struct engine *e);

/* Input kept of a client that must wait, before reading stops. */
#define CLIENT_KEEP (128 * 1024)

/* Answers outstanding at one server at which its client must wait, and at which it goes on. More
 * than PostgreSQL holds back without being asked to flush (8 kB of 5 bytes each). */
#define PENDING_HIGH 4096
#define PENDING_LOW 1024

/* ---- client.c ---- */
/* A fresh socket. Closes it when memory is short. */
void client_new(struct engine *e, int fd, bool is_unix);
/* Moves the client to the list of the state (in its shard once logged in). */
void client_set_state(struct client *c, enum client_state to);
/* Closes with a FATAL ErrorResponse of that state (08P01 when NULL) and text, and logs the text as
 * the reason. */
void client_close(struct client *c, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with an error whose text is logged in another form. */
void client_close_as(struct client *c, const struct err *e, const char *logged);
/* The same with all the fields of the answer; its message is logged as the reason. */
struct wire_error;
void client_close_error(struct client *c, const struct wire_error *e);
/* Closes without a message to the client; the reason is logged (NULL: nothing is). */
void client_drop(struct client *c, const char *reason);
/* Frees what was closed; called at the end of a turn. */
void clients_bury(struct engine *e);
/* Counts bytes that moved since the last call. */
void client_count_bytes(struct client *c);
/* Sends an ErrorResponse (severity ERROR) made of the parts. */
void client_send(struct client *c, const struct buf *b);
/* Releases or closes the server of a client that goes away. */
void client_leave_server(struct client *c);

/* ---- client_limits.c ---- */
/* Sets what limits the client by the setup; db: its database's entry there. c->user_name is known.
 */
void client_limits(struct client *c, const struct setup *s, const struct database_conf *db);
/* For all clients of the engine, which has a new setup. */
void clients_take_setup(struct engine *e);

/* ---- client_login.c (login.h: client_startup.c, client_auth.c) ---- */
bool client_login_begin(struct client *c);
size_t client_login_input(struct client *c, char *data, size_t n);
void client_login_secured(struct client *c, bool ok, const char *text);
struct mail_lookup;
/* auth_query has answered: the login goes on. */
void client_login_looked_up(struct client *c, const struct mail_lookup *m);
/* The pool's welcome (or the database's policy) is there: finish the login. */
void client_login_resume(struct client *c);
void client_login_free(struct client *c);
/* End of the turn: gives an administrator's connection to the control thread. */
void client_to_console(struct client *c);
/* Is the client still at its login? */
static inline bool client_at_login(const struct client *c)
{
    return c->login != NULL;
}

/* ---- client_proto.c ---- */
/* Outcome of looking at one message. */
enum step {
    STEP_DONE, /* consumed */
    STEP_MORE, /* the message must be whole first */
    STEP_WAIT, /* later: a server (or a catalog) is being waited for */
    STEP_GONE  /* the client was closed */
};
size_t client_input(void *owner, char *data, size_t n);
/* Makes sure the client has a server: true, or false when it waits now (or was closed). */
bool client_need_server(struct client *c);
/* Bookkeeping when a message that has an answer goes to the server. */
void client_note_request(struct client *c);
/* Answers a message with an error in its place in the order of replies, and fails the server's
 * transaction with it. bytes: a whole ErrorResponse. simple: the message was a Query. */
void client_refuse(struct client *c, bool simple, const struct buf *bytes);
/* The same from parts. */
void client_refuse_text(struct client *c, bool simple, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- client_extended.c: m = whole message, n its length ---- */
enum step client_parse(struct client *c, const char *m, size_t n);
enum step client_bind(struct client *c, const char *m, size_t n);
enum step client_describe(struct client *c, const char *m, size_t n);
#define CLIENT_DEALLOCATE_MAX 200 /* longer Queries are not looked at */
/* DEALLOCATE in SQL of a name that only we know. STEP_DONE: answered; STEP_MORE: not such a Query.
 */
enum step client_deallocate(struct client *c, const char *m, size_t n);
enum step client_close_target(struct client *c, const char *m, size_t n);
enum step client_execute(struct client *c, const char *m, size_t n);
/* Forgets the unnamed statement. */
void client_unnamed_clear(struct client *c);
/* Forgets all prepared statements (DEALLOCATE ALL, DISCARD ALL, end of the client). */
void client_stmts_clear(struct client *c);
/* Takes back what a skipped message had done, but for what later batches have put in its place;
 * client may be NULL. */
void client_undo(struct client *c, struct server *s, struct pend *p, const struct pend_later *l);

/* ---- client_copy.c: COPY FROM STDIN of tenants ---- */
/* The COPY of that verdict goes out now; p awaits its answer. false: out of memory. */
bool client_copy_begin(struct client *c, struct pend *p, const struct verdict *v);
/* The unnamed portal was bound to that COPY FROM just now (NULL: to something else). */
void client_copy_bound(struct client *c, struct verdict *v);
/* CopyData (of which `have` bytes are there), CopyDone, CopyFail. */
enum step client_copy_message(struct client *c, char *m, size_t have, const struct frame *f,
                              size_t *used);
/* Bytes of a CopyData whose head was seen before. false: the client was closed. */
bool client_copy_bytes(struct client *c, const char *p, size_t n);
/* A message of that type comes: all but data, Flush and Sync end the COPY that is open. false: the
 * client was closed. */
bool client_copy_other(struct client *c, char type);
/* CopyInResponse without the column that the machine puts in, appended to b. false: it goes through
 * as it is. */
bool client_copy_response(struct client *c, const struct pend *p, const char *body, size_t n,
                          struct buf *b);
/* The server has answered the COPY of that number with an error. */
void client_copy_over(struct client *c, uint32_t id);
/* The server asks for data which no machine awaits: it gets CopyFail. false: it was closed. */
bool client_copy_unawaited(struct client *c, struct pend *p);
/* The client goes away. */
void client_copy_clear(struct client *c);

/* ---- client_tenant.c ---- */
static inline bool client_guarded(const struct client *c)
{
    return c->tenant_mode != TENANT_OFF;
}
/* Is the client held to its tenant (not only audited)? */
static inline bool client_enforced(const struct client *c)
{
    return c->tenant_mode == TENANT_REJECT || c->tenant_mode == TENANT_REWRITE ||
           c->tenant_mode == TENANT_RLS;
}
/* Takes the database's newest policy. false: there is none. */
bool client_policy(struct client *c);
void client_ask(struct client *c, struct tenant_ask *ask, bool extended, struct text sql,
                const uint32_t *types, int n_types);
/* A guarded Query message: judges, rewrites, sends. */
enum step client_query_guarded(struct client *c, const char *m, size_t n);
/* Counts, logs and records a verdict of the client's text. */
void client_note_verdict(struct client *c, struct verdict *v, struct text sql);
/* The same for a refusal that is no verdict of a text; v: the text's verdict, or NULL; sql: the
 * text or its beginning, may be empty. */
void client_note_refusal(struct client *c, enum refusal r, struct text detail, struct verdict *v,
                         struct text sql);
/* Should the client wait for a fresh catalog because of this verdict? Then it has been asked for.
 */
bool client_wait_catalog(struct client *c, const struct verdict *v);

/* ---- server_proto.c ---- */
#define NOTE_REBIND                                                                                \
    3                 /* pend.note: binds the tenant again; needless when the transaction failed   \
                       */
#define NOTE_BOUND 4  /* pend.note: with its answer the tenant is bound */
#define NOTE_STATE 6  /* pend.note: its rows are what the client touched (state.h) */
#define NOTE_PROVEN 8 /* pend.note: with its answer the client's settings are accepted */
#define NOTE_MARK 9   /* pend.note: what tells about an UNLISTEN (ears.h) */
#define NOTE_RESCUE 10 /* pend.note: a Sync that counts only where the Query before it is skipped */
#define NOTE_HELD 5   /* pend.note: ends a batch that may hold a DISCARD ALL */
extern const struct conn_handler server_handler;
extern const struct conn_handler client_handler;
size_t server_input(void *owner, char *data, size_t n);
/* A new entry at the end of the server's queue; the server is closed and NULL returned when memory
 * is short. */
struct pend *server_expect(struct server *s, enum pend_kind kind, enum pend_action action);
/* Sends answers of ours that have come to the head of the queue. */
void server_run_fakes(struct server *s);
/* Sends a Query of our own whose replies are dropped. vars: bits of the tracked parameters that it
 * sets to the client's values. */
bool server_own_query(struct server *s, struct text sql, uint32_t vars);
/* Sends a statement of our own by the extended protocol without a Sync, its replies dropped: six
 * messages, under a name (of statement and portal, both closed at once) that the client cannot
 * have. note: what its answers tell. false: out of memory. */
bool server_own_execute(struct server *s, struct text name, struct text sql, int note);

/* ---- server.c ---- */
/* A server of the shard that is not opened yet; its place in the ledger was taken. NULL: out of
 * memory. */
struct server *server_new(struct shard *sh, bool reserved) MUST_CHECK;
/* Opens it, or closes it. */
void server_begin(struct server *s);
/* Both. */
void server_launch(struct shard *sh, bool reserved);
/* Closes; a client that has it is closed with the text (FATAL, state or 08P01) unless the server's
 * own FATAL went out. */
void server_close(struct server *s, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with an error whose text is logged in another form. */
void server_close_as(struct server *s, const char *sqlstate, const char *text, const char *logged);
/* The queue is empty and the status is I: back to the pool. */
void server_release(struct server *s);
/* Reset or check query done, login done, cancel done: ready for use. */
void server_ready(struct server *s);
void server_count_bytes(struct server *s);
/* Frees what was closed; called at the end of a turn. */
void servers_bury(struct engine *e);
/* Guarded servers: was it started with the search path that statements are judged under now? */
static inline bool server_path_current(const struct server *s)
{
    return !s->shard->pool->guarded ||
           s->search_path_serial ==
               atomic_load_explicit(&s->shard->pool->db->search_path_serial, memory_order_acquire);
}
/* When the server may be closed for its age, 0: not yet used. Those of a pool go one after the
 * other, spread over server_lifetime, and not all at once. */
usec_t server_life_ends(const struct server *s);
/* Why a free server must not be used any more; NULL: it may. */
const char *server_worn_out(const struct server *s);

/* ---- server_login.c ---- */
bool server_login_begin(struct server *s);
void server_login_free(struct server *s);
size_t server_login_input(struct server *s, char *data, size_t n);
void server_login_connected(struct server *s, bool ok, const char *text);
void server_login_secured(struct server *s, bool ok, const char *text);
/* Login failed: remembers the failure for the pool's clients and closes the server. */
void server_login_failed(struct server *s, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- server_wishes.c: what the configuration wants of the connection ---- */
/* Does TLS begin at once, without SSLRequest? */
bool server_wants_direct(const struct server *s);
/* Binding data of the connection and whether they are required; no data without TLS. */
void server_binding(const struct server *s, struct scram_binding *out);
/* The minor version of protocol 3 to ask for: 0 or 2. */
uint16_t server_protocol_minor(const struct server *s);

/* ---- dispatch.c: who gets which server ---- */
struct shard *engine_shard(struct engine *e, struct pool *p);
void shard_refresh(struct engine *e, struct shard *sh);
void shard_free(struct shard *sh); /* engine.c */
/* The client joins the waiting ones and the shard looks for a server. */
void shard_wait(struct client *c);
void shard_unwait(struct client *c);
/* Gives servers to waiting clients, opens new ones, asks other workers. */
void shard_pump(struct shard *sh);
/* An idle server: to the longest waiting client here or elsewhere, else kept. */
void shard_offer(struct shard *sh, struct server *s);
void client_assign(struct client *c, struct server *s);
/* Hands an idle server to another worker; false: none that may move. Not inside a server's
 * callback. */
bool shard_give(struct shard *sh, int worker);
/* Hands over what shard_offer left for the end of the turn. */
void dispatch_offers(struct engine *e);
/* While held, nothing is given to waiting clients: for loops that close a shard's servers. */
void shard_hold(struct shard *sh);
void shard_unhold(struct shard *sh);
/* A slot of the ledger became free: wake whoever waits for one. */
void shard_slot_freed(struct shard *sh);
void dispatch_tick(struct engine *e);

/* ---- reaper.c ---- */
void engine_reap(struct engine *e);
/* The object's state or the time of its limit is another: it is looked at in time. Cheap when it is
 * looked at earlier anyway. */
void client_due(struct client *c);
void server_due(struct server *s);
void shard_due(struct shard *sh);
/* The setup is new; after shard_refresh, one shard's limits are. */
void reaper_new_limits(struct engine *e);
void reaper_new_shard_limits(struct shard *sh);
/* dispatch.c: forgets a shard without clients and servers (pool_idle_timeout). */
void shard_drop(struct shard *sh);

/* ---- cancel.c ---- */
/* A client's request, to be told to all engines; key: as in BackendKeyData, number and secret. The
 * client is closed when they are done with it. */
void cancel_request(struct client *c, struct text key);
void cancels_close(struct engine *e);
/* Gives up those that take longer than cancel_wait_timeout. */
void cancels_reap(struct engine *e);
/* The same for the engine's own clients. */
void cancel_local(struct engine *e, struct text key, const struct cancel_asker *asker);

/* ---- mails between engines and the control thread ---- */
enum mail_kind {
    MAIL_ACCEPT = 1,
    MAIL_CALL,
    MAIL_CALL_DONE,
    MAIL_SERVER,
    MAIL_WANT,
    MAIL_SLOT,
    MAIL_CANCEL,
    MAIL_POLICY,
    MAIL_EVICT,
    MAIL_LOOKUP,
    MAIL_PROOF,
    MAIL_SHARE,
    MAIL_CANCEL_DONE,
    MAIL_LISTEN, /* listener.h; the three behind it are its answers */
    MAIL_HEARD,
    MAIL_NOTE,
    MAIL_DEAF,
    MAIL_PEER,
    MAIL_FIRST_FREE = 100 /* other layers number theirs from here */
};
struct mail_server {
    struct mail mail;
    struct pool *pool;
    struct conn *conn;
    struct server *server;
    uint64_t generation,
        replaced; /* of the sender: an order that it had not carried out did not see the server */
};
struct mail_pool {
    struct mail mail;
    struct pool *pool;
    int from;
};
struct mail_policy {
    struct mail mail;
    struct db_ledger *db;
};
struct mail_cancel {
    struct mail mail;
    unsigned char key[CANCEL_KEY_LONG];
    size_t n;
    struct cancel_asker asker;
};
struct mail_cancel_done {
    struct mail mail;
    uint64_t client;
    bool timed_out;
};
/* Posts a mail about a pool; silently does nothing when memory is short (the tick retries). */
void engine_tell(struct engine *to, int kind, struct pool *p, int from);
/* A server given to us by another worker. */
void engine_take_server(struct engine *e, struct mail_server *m);
void welcome_unref(struct welcome *w);
struct welcome *pool_welcome_get(struct pool *p);
void pool_welcome_put(struct pool *p, struct welcome *w); /* reference given away */

static inline struct db_stats *shard_stats(const struct shard *sh, const struct engine *e)
{
    return &sh->pool->db->stats[e->id];
}

#endif
