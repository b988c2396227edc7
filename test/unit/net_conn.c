/* SPDX-License-Identifier: ISC */
/* Conns over socket pairs and loopback: input, output, back-pressure, pausing, closing. */
#include "net_help.h"
#include "net/sys.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* What a sanitizer does not see it takes for never written, or reports nothing about. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer) ||                          \
    __has_feature(address_sanitizer)
_Static_assert(!NET_SYS_DIRECT, "clang's sanitizers see send and recv");
#endif
#elif defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
_Static_assert(!NET_SYS_DIRECT, "gcc's sanitizers see send and recv");
#endif

static bool has_input(void *arg)
{
    return ((struct peer *)arg)->inputs > 0;
}

static bool has_ended(void *arg)
{
    return ((struct peer *)arg)->ended > 0;
}

static bool has_drained(void *arg)
{
    return ((struct peer *)arg)->drained > 0;
}

static bool has_connected(void *arg)
{
    return ((struct peer *)arg)->connected != 0;
}

static bool want_bytes(void *arg)
{
    struct peer *p = arg;
    return buf_len(&p->got) >= *(size_t *)p->arg;
}

static void echo(struct runner *r)
{
    struct peer p;
    char out[64];
    int fd = peer_pair(&p, &r->loop);
    p.to = p.conn;
    ok(write(fd, "hello", 5) == 5 && run_until(r, has_input, &p), "input arrives");
    is_int(read(fd, out, sizeof(out)), 5, "and is echoed from the scratch");
    ok(memcmp(out, "hello", 5) == 0, "unchanged");
    ok(!p.conn->in.p && !p.conn->out.p && !p.conn->queue, "an idle conn holds no buffer");
    is_int((long)p.conn->rx, 5, "rx counted");
    is_int((long)p.conn->tx, 5, "tx counted");
    ok(conn_alive(p.conn), "alive");
    ok(write(fd, "x", 1) == 1 && !conn_alive(p.conn), "something to read: not quiet");
    close(fd);
    ok(run_until(r, has_ended, &p), "end is told");
    is_int(p.why, CONN_EOF, "as the peer's closing");
    ok(p.conn->ended && !p.conn->closed, "the conn waits for its owner");
    conn_write(p.conn, "late", 4);
    peer_close(&p);
    run_turns(r, 1);
}

static void partial(struct runner *r)
{
    struct peer p;
    int fd = peer_pair(&p, &r->loop);
    p.least = 4;
    ok(write(fd, "abc", 3) == 3 && run_until(r, has_input, &p), "three bytes shown");
    is_int((long)buf_len(&p.conn->in), 3, "three kept");
    run_turns(r, 3);
    is_int(p.inputs, 1, "not shown again without more");
    ok(write(fd, "defg", 4) == 4, "four more");
    run_turns(r, 3);
    is_text(buf_text(&p.got), "abcdefg", "shown together");
    ok(!p.conn->in.p, "buffer given back");
    p.max = 2;
    p.least = 0;
    p.inputs = 0;
    ok(write(fd, "12345", 5) == 5, "five bytes");
    run_turns(r, 3);
    is_int(p.inputs, 1, "one call");
    conn_reshow(p.conn);
    run_turns(r, 2);
    is_int((long)buf_len(&p.conn->in), 1, "reshow showed again");
    conn_reshow(p.conn);
    run_turns(r, 2);
    is_text(buf_text(&p.got), "abcdefg12345", "nothing lost");
    close(fd);
    peer_close(&p);
    run_turns(r, 1);
}

/* A message larger than the scratch is kept until it is whole. */
static void large(struct runner *r)
{
    struct peer p;
    size_t size = 300000, sent = 0;
    int fd = peer_pair(&p, &r->loop);
    char *data = malloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 7 + i / 256);
    p.least = size;
    for (int i = 0; i < 1000 && sent < size; i++) {
        ssize_t n = write(fd, data + sent, size - sent < 9999 ? size - sent : 9999);
        if (n > 0)
            sent += (size_t)n;
        run_turns(r, 1);
    }
    run_turns(r, 3);
    is_int((long)buf_len(&p.got), (long)size, "all of a large message at once");
    ok(memcmp(buf_data(&p.got), data, size) == 0, "in order");
    ok(!p.conn->in.p, "buffer given back");
    free(data);
    close(fd);
    peer_close(&p);
    run_turns(r, 1);
}

static void slow_reader(struct runner *r)
{
    struct peer p;
    int fd = peer_pair(&p, &r->loop);
    size_t size = 4 << 20, got = 0;
    char *data = malloc(size), *back = malloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i ^ (i >> 9));
    conn_write(p.conn, data, size - 10);
    conn_flush(p.conn);
    ok(conn_blocked(p.conn) && conn_backlog(p.conn) > 0, "socket full: output is kept");
    conn_write(p.conn, data + size - 10, 5);
    conn_write_copy(p.conn, data + size - 5, 5);
    for (int i = 0; i < 100000 && got < size; i++) {
        ssize_t n = read(fd, back + got, size - got);
        if (n > 0)
            got += (size_t)n;
        else
            run_turns(r, 1);
    }
    ok(got == size && memcmp(data, back, size) == 0, "all came, in order");
    ok(run_until(r, has_drained, &p), "drained is told");
    is_int(p.drained, 1, "once");
    ok(!conn_blocked(p.conn) && !p.conn->out.p && !p.conn->wr_armed, "no buffer and no event left");
    free(data);
    free(back);
    close(fd);
    peer_close(&p);
    run_turns(r, 1);
}

static void many_slices(struct runner *r)
{
    struct peer p;
    char want[4096], back[4096], big[20000];
    size_t n = 0;
    int fd = peer_pair(&p, &r->loop);
    static const char digits[] = "0123456789";
    loop_enter(&r->loop);
    for (int i = 0; i < 1000; i++) {
        const char *d = digits + i % 10;
        if (i % 3)
            conn_write(p.conn, d, 1);
        else
            conn_write_copy(p.conn, d, 1);
        want[n++] = *d;
    }
    loop_leave(&r->loop);
    ok(read(fd, back, sizeof(back)) == 1000 && memcmp(back, want, 1000) == 0,
       "1000 slices in order");
    memset(big, 'b', sizeof(big));
    loop_enter(&r->loop);
    conn_write(p.conn, "<", 1);
    conn_write_copy(p.conn, big, sizeof(big));
    conn_write(p.conn, ">", 1);
    memset(big, 'x', sizeof(big));
    loop_leave(&r->loop);
    char *all = malloc(30000);
    is_int(read(fd, all, 30000), 20002, "a large copy among slices");
    ok(all[0] == '<' && all[1] == 'b' && all[20000] == 'b' && all[20001] == '>', "in its place");
    free(all);
    close(fd);
    peer_close(&p);
    run_turns(r, 1);
}

static size_t close_self(struct peer *p, char *data, size_t n)
{
    conn_write(p->conn, data, n);
    conn_close(p->conn);
    p->conn = NULL;
    return 0;
}

static size_t close_other(struct peer *p, char *data, size_t n)
{
    struct peer *other = p->arg;
    conn_write(other->conn, data, n);
    conn_close(other->conn);
    other->conn = NULL;
    return n;
}

static void closing(struct runner *r)
{
    struct peer p, q;
    char out[16];
    int fd = peer_pair(&p, &r->loop);
    p.hook = close_self;
    ok(write(fd, "bye", 3) == 3 && run_until(r, has_input, &p), "closes itself in its handler");
    is_int(read(fd, out, sizeof(out)), 3, "what it wrote went out");
    is_int(read(fd, out, sizeof(out)), 0, "then closed");
    is_int(p.ended, 0, "ended is not called for it");
    close(fd);
    buf_release(&p.got);
    fd = peer_pair(&p, &r->loop);
    int fd2 = peer_pair(&q, &r->loop);
    p.hook = close_other;
    p.arg = &q;
    ok(write(fd, "two", 3) == 3 && run_until(r, has_input, &p), "closes another in its handler");
    ok(read(fd2, out, sizeof(out)) == 3 && read(fd2, out, sizeof(out)) == 0, "after its output");
    ok(list_empty(&r->loop.dead), "dead conns are freed");
    close(fd);
    close(fd2);
    peer_close(&p);
    run_turns(r, 1);
}

/* Another conn takes the descriptor of one that was closed in the same turn. */
static void same_descriptor(struct runner *r)
{
    struct peer p, q;
    int fd = peer_pair(&p, &r->loop), pair[2];
    ok(write(fd, "1", 1) == 1 && run_until(r, has_input, &p), "a conn in use");
    int number = p.conn->fd;
    ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "another socket");
    loop_enter(&r->loop);
    peer_close(&p);
    ok(dup2(pair[0], number) == number, "gets its number");
    close(pair[0]);
    peer_open(&q, &r->loop, number);
    loop_leave(&r->loop);
    ok(write(pair[1], "2", 1) == 1 && run_until(r, has_input, &q), "and is heard");
    close(fd);
    close(pair[1]);
    peer_close(&q);
    run_turns(r, 1);
}

static size_t forward_and_refuse(struct peer *p, char *data, size_t n)
{
    struct peer *other = p->arg;
    conn_write(other->conn, data, n);
    conn_close_after_flush(p->conn, USEC_PER_SEC);
    p->conn = NULL;
    return n;
}

/* Lingering throws input away, but not on top of slices that lie in the scratch. */
static void linger_in_input(struct runner *r)
{
    struct peer p, q;
    size_t size = LOOP_SCRATCH + 5000, got = 0;
    char *data = malloc(size), *back = malloc(size);
    int fd = peer_pair(&p, &r->loop), fd2 = peer_pair(&q, &r->loop);
    memset(data, 'a', LOOP_SCRATCH);
    memset(data + LOOP_SCRATCH, 'b', 5000);
    ok(write(fd, data, size) == (ssize_t)size, "more than the scratch holds");
    p.hook = forward_and_refuse;
    p.arg = &q;
    ok(run_until(r, has_input, &p), "closed while forwarding");
    ssize_t n;
    while ((n = read(fd2, back + got, size - got)) > 0)
        got += (size_t)n;
    ok(got == LOOP_SCRATCH && memcmp(back, data, got) == 0, "what was forwarded is unharmed");
    free(data);
    free(back);
    close(fd);
    close(fd2);
    peer_close(&q);
    run_turns(r, 1);
}

static size_t pause_self(struct peer *p, char *data, size_t n)
{
    buf_append(&p->got, data, 2);
    conn_pause(p->conn);
    (void)n;
    return 2;
}

static void pausing(struct runner *r)
{
    struct peer p;
    int fd = peer_pair(&p, &r->loop);
    p.hook = pause_self;
    ok(write(fd, "abcdef", 6) == 6 && run_until(r, has_input, &p), "pauses in the middle");
    ok(write(fd, "gh", 2) == 2, "more comes");
    run_turns(r, 3);
    is_int(p.inputs, 1, "not read while paused");
    ok(!p.conn->rd_armed, "and no event");
    conn_resume(p.conn);
    run_turns(r, 3);
    is_int(p.inputs, 2, "kept input shown after resume, paused again");
    p.hook = NULL;
    conn_resume(p.conn);
    run_turns(r, 3);
    is_text(buf_text(&p.got), "abcdefgh", "all of it");
    close(fd);
    peer_close(&p);
    run_turns(r, 1);
}

/* The peer says something and goes away; a write then fails before its words are read. */
static void broken_pipe(struct runner *r)
{
    struct peer p;
    int fd = peer_pair(&p, &r->loop);
    ok(write(fd, "last words", 10) == 10, "peer writes");
    close(fd);
    loop_enter(&r->loop);
    conn_write(p.conn, "query", 5);
    conn_flush(p.conn);
    is_int(p.conn->write_errno, EPIPE, "writing fails");
    is_int(p.ended, 0, "not told at once");
    loop_leave(&r->loop);
    is_text(buf_text(&p.got), "last words", "the peer's words are shown first");
    is_int(p.ended, 1, "then the end");
    peer_close(&p);
    run_turns(r, 1);
}

struct slow {
    struct loop *loop;
    int fd;
    size_t size, got;
    char *data;
    bool eof, lingered;
};

static bool read_all(void *arg)
{
    struct slow *s = arg;
    ssize_t n = read(s->fd, s->data, s->size);
    s->eof = n == 0;
    s->got += n > 0 ? (size_t)n : 0;
    s->lingered = !list_empty(&s->loop->linger);
    return s->eof;
}

static bool none_lingers(void *arg)
{
    return list_empty(&((struct slow *)arg)->loop->linger);
}

/* A loop's end ends lingering, so that each wait here is one run. */
static void lingering(struct runner *r)
{
    struct peer p;
    struct slow s = { .loop = &r->loop, .size = 3 << 20 };
    s.fd = peer_pair(&p, &r->loop);
    s.data = calloc(1, s.size);
    conn_write(p.conn, s.data, s.size);
    conn_flush(p.conn);
    ok(write(s.fd, "unread", 6) == 6, "input that nobody reads");
    conn_close_after_flush(p.conn, HELP_PATIENCE);
    ok(run_until(r, read_all, &s) && s.eof && s.got == s.size, "all output comes, then the end");
    ok(s.lingered, "waits for the peer to close");
    ok(list_empty(&r->loop.linger), "the loop's end ends that");
    close(s.fd);
    s.fd = peer_pair(&p, &r->loop);
    conn_write_copy(p.conn, "error", 5);
    conn_close_after_flush(p.conn, HELP_PATIENCE);
    ok(shutdown(s.fd, SHUT_WR) == 0, "a peer closes");
    ok(run_until(r, none_lingers, &s), "and the conn goes at once");
    close(s.fd);
    s.fd = peer_pair(&p, &r->loop);
    conn_write(p.conn, s.data, s.size);
    conn_close_after_flush(p.conn, 20 * USEC_PER_MSEC);
    ok(!list_empty(&r->loop.linger), "a peer that never reads");
    ok(run_until(r, none_lingers, &s), "is given up in time");
    free(s.data);
    close(s.fd);
}

static void connecting(struct runner *r)
{
    struct err e = { 0 };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ok(bind(fd, (struct sockaddr *)&in, len) == 0 && listen(fd, 4) == 0 &&
           getsockname(fd, (struct sockaddr *)&in, &len) == 0,
       "a listener");
    struct peer p = { .loop = &r->loop };
    p.conn = conn_connect(&r->loop, (struct sockaddr *)&in, len, &peer_handler, &p, &e);
    ok(p.conn != NULL, "connecting");
    conn_write_copy(p.conn, "early", 5);
    is_int(p.connected, 0, "told later");
    ok(run_until(r, has_connected, &p), "told");
    is_int(p.connected, 1, "connected");
    char text[128], back[8];
    int port, got = accept(fd, NULL, NULL);
    run_turns(r, 1);
    is_int(read(got, back, sizeof(back)), 5, "what was written before goes out");
    sockaddr_text(&p.conn->peer, text, sizeof(text), &port);
    is_text((const char *)text, "127.0.0.1", "peer address");
    is_int(port, ntohs(in.sin_port), "peer port");
    peer_close(&p);
    close(got);
    close(fd);
    run_turns(r, 1);
    p = (struct peer){ .loop = &r->loop };
    p.conn = conn_connect(&r->loop, (struct sockaddr *)&in, len, &peer_handler, &p, &e);
    ok(!p.conn || (run_until(r, has_connected, &p) && p.connected == -1), "nobody listens");
    is_text((const char *)(p.conn ? p.text : e.msg), "Connection refused", "and it says so");
    peer_close(&p);
    run_turns(r, 1);
}

/* More than one turn's reads, forwarded to a second conn. */
static void forwarding(struct runner *r)
{
    struct peer a, b;
    size_t size = 2 << 20, sent = 0, got = 0;
    int in = peer_pair(&a, &r->loop), out = peer_pair(&b, &r->loop);
    char *data = malloc(size), *back = malloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i % 251);
    a.to = b.conn;
    for (int i = 0; i < 100000 && got < size; i++) {
        ssize_t n = sent < size ? write(in, data + sent, size - sent) : 0;
        if (n > 0)
            sent += (size_t)n;
        run_turns(r, 1);
        while ((n = read(out, back + got, size - got)) > 0)
            got += (size_t)n;
    }
    ok(got == size && memcmp(data, back, size) == 0, "2 MiB forwarded unchanged");
    a.arg = &size;
    ok(want_bytes(&a), "and counted");
    free(data);
    free(back);
    close(in);
    close(out);
    peer_close(&a);
    peer_close(&b);
    run_turns(r, 1);
}

int main(void)
{
    struct runner r;
    runner_init(&r);
    echo(&r);
    partial(&r);
    large(&r);
    slow_reader(&r);
    many_slices(&r);
    closing(&r);
    same_descriptor(&r);
    linger_in_input(&r);
    pausing(&r);
    broken_pipe(&r);
    lingering(&r);
    connecting(&r);
    forwarding(&r);
    loop_release(&r.loop);
    return tap_done();
}
