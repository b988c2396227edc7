/* SPDX-License-Identifier: ISC */
/* Typed keys: tables made from keys.def, values from and to text. */
#include "conf/keys.h"

#include "base/random.h"
#include "conf/suggest.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const char *const pool_mode_names[] = { "session", "transaction", "statement", NULL };
static const char *const session_state_names[] = { "virtual", "passthrough", NULL };
static const char *const tenant_mode_names[] = { "off", "audit", "reject", "rewrite", "rls", NULL };
static const char *const tenant_audit_names[] = { "refused", "refused,exempt", "all", NULL };
static const char *const tenant_explain_names[] = { "off", "plan", NULL };
static const char *const switch_names[] = { "0", "1", NULL }; /* a bool that may be left out */
/* in the order of enum cert_field */
static const char *const cert_field_names[] = {
    "CN", "OU", "SAN:dns", "SAN:uri", "SAN:email", NULL
};
static const char *const token_replay_names[] = { "window", "once", NULL };
/* in the order of enum session_attrs */
static const char *const session_attrs_names[] = { "any",     "read-write", "read-only",
                                                   "primary", "standby",    "prefer-standby",
                                                   NULL };
static const char *const load_balance_names[] = { "disable", "round-robin", NULL };
static const char *const auth_type_names[] = { "any", "trust", "plain", "md5",           "cert",
                                               "hba", "ldap",  "pam",   "scram-sha-256", NULL };
/* in the order of net's enum tls_mode */
static const char *const tls_mode_names[] = { "disable",   "allow",       "prefer", "require",
                                              "verify-ca", "verify-full", NULL };
/* in the order of net's tls_opts.min_version */
static const char *const tls_version_names[] = { "unset",   "tlsv1.0", "tlsv1.1",
                                                 "tlsv1.2", "tlsv1.3", NULL };
static const char *const tls_negotiation_names[] = { "postgres", "direct", NULL };
static const char *const binding_names[] = { "disable", "prefer", "require", NULL };
static const char *const protocol_names[] = { "3.0", "3.2", "auto", NULL };
static const char *const log_format_names[] = { "text", "json", NULL };
static const char *const syslog_facility_names[] = { "daemon", "auth",   "authpriv", "user",
                                                     "local0", "local1", "local2",   "local3",
                                                     "local4", "local5", "local6",   "local7",
                                                     NULL };

/* clang-format off */
#define KEY_INFO(name, def, flags, help)                                                           \
    { #name, help, def, !((flags) & KEYF_BOOT), !((flags) & KEYF_NOEFFECT) }
#define GLOBAL(name, def, kind, min, max, names, flags, help)                                      \
    { KEY_INFO(name, def, flags, help), kind, flags, offsetof(struct settings, name),              \
      min, max, names },
#define ENTRY(type, name, member, kind, min, max, names, flags, help)                              \
    { KEY_INFO(name, "", flags, help), kind, flags, offsetof(struct type, member),                 \
      min, max, names },
/* clang-format on */

static const struct key settings_keys[] = {
#define KEY_BOOL(name, def, flags, help) GLOBAL(name, def, KIND_BOOL, 0, 1, NULL, flags, help)
#define KEY_INT(name, def, min, max, flags, help)                                                  \
    GLOBAL(name, def, KIND_INT, min, max, NULL, flags, help)
#define KEY_TIME(name, def, flags, help) GLOBAL(name, def, KIND_TIME, 0, 0, NULL, flags, help)
#define KEY_TEXT(name, def, flags, help) GLOBAL(name, def, KIND_TEXT, 0, 0, NULL, flags, help)
#define KEY_ENUM(name, def, names, flags, help)                                                    \
    GLOBAL(name, def, KIND_ENUM, 0, 0, names, flags, help)
#include "conf/keys.def"
};

static const struct key database_keys[] = {
#define DB_KEY(...) ENTRY(database_conf, __VA_ARGS__)
#include "conf/keys.def"
};

static const struct key user_keys[] = {
#define USER_KEY(...) ENTRY(user_conf, __VA_ARGS__)
#include "conf/keys.def"
};

static const struct key peer_keys[] = {
#define PEER_KEY(...) ENTRY(peer_conf, __VA_ARGS__)
#include "conf/keys.def"
};

static const struct key tenant_keys[] = {
#define TENANT_KEY(...) ENTRY(tenant_conf, __VA_ARGS__)
#include "conf/keys.def"
};

struct key_table key_table_settings(void)
{
    return (struct key_table){ settings_keys, COUNT(settings_keys) };
}

struct key_table key_table_databases(void)
{
    return (struct key_table){ database_keys, COUNT(database_keys) };
}

struct key_table key_table_users(void)
{
    return (struct key_table){ user_keys, COUNT(user_keys) };
}

struct key_table key_table_peers(void)
{
    return (struct key_table){ peer_keys, COUNT(peer_keys) };
}

struct key_table key_table_tenants(void)
{
    return (struct key_table){ tenant_keys, COUNT(tenant_keys) };
}

const struct key *key_find(struct key_table t, struct text name)
{
    for (int i = 0; i < t.n; i++)
        if (text_is(name, t.keys[i].info.name))
            return &t.keys[i];
    return NULL;
}

const char *key_suggest(struct key_table t, struct text name)
{
    struct suggest s;

    suggest_init(&s, name);
    for (int i = 0; i < t.n; i++)
        suggest_offer(&s, t.keys[i].info.name);
    return s.best;
}

struct secret {
    struct secret *next;
    size_t n;
    char bytes[];
};

struct text secret_text(struct secret **chain, struct text t)
{
    struct secret *s = malloc(sizeof(*s) + t.n + 1);

    if (!s)
        check_no_memory(sizeof(*s) + t.n + 1);
    s->n = t.n;
    if (t.n)
        memcpy(s->bytes, t.p, t.n);
    s->bytes[t.n] = '\0';
    s->next = *chain;
    *chain = s;
    return text_n(s->bytes, t.n);
}

void secret_wipe_all(struct secret **chain)
{
    while (*chain) {
        struct secret *s = *chain;
        *chain = s->next;
        wipe(s->bytes, s->n);
        free(s);
    }
}

/* Splits "12.5 min" into digits and unit; the number may have a fraction of up to `places` digits,
 * which are scaled in. */
static bool take_number(struct text v, int places, int64_t *scaled, struct text *unit)
{
    int64_t n = 0;
    size_t i = 0;
    bool point = false, digit = false;

    for (; i < v.n; i++) {
        char c = v.p[i];
        if (c == '.' && !point && places) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        digit = true;
        if (point && places == 0)
            continue; /* finer than we keep */
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, c - '0', &n))
            return false;
        if (point)
            places--;
    }
    for (; places > 0; places--)
        if (__builtin_mul_overflow(n, 10, &n))
            return false;
    *scaled = n;
    *unit = text_trim(text_n(v.p + i, v.n - i));
    return digit;
}

struct unit {
    const char *name;
    int64_t factor;
};

static bool find_unit(const struct unit *units, struct text name, int64_t *factor)
{
    for (const struct unit *u = units; u->name; u++) {
        if (text_is_i(name, u->name)) {
            *factor = u->factor;
            return true;
        }
    }
    return false;
}

bool key_parse_time(struct text value, usec_t *out)
{
    static const struct unit units[] = { { "", 1000000 },      { "us", 1 },
                                         { "ms", 1000 },       { "s", 1000000 },
                                         { "min", 60000000 },  { "h", 3600000000 },
                                         { "d", 86400000000 }, { NULL, 0 } };
    const int64_t most = (int64_t)INT32_MAX * 1000000;
    struct text name;
    int64_t n, factor, fraction;

    if (!take_number(value, 6, &n, &name) || !find_unit(units, name, &factor))
        return false;
    fraction = n % 1000000 * factor / 1000000; /* of the last whole unit */
    if (__builtin_mul_overflow(n / 1000000, factor, &n) || n > most)
        return false;
    *out = (usec_t)(n + fraction);
    return true;
}

bool key_parse_bytes(struct text value, int64_t *out)
{
    static const struct unit units[] = { { "", 1 },          { "B", 1 },
                                         { "kB", 1 << 10 },  { "MB", 1 << 20 },
                                         { "GB", 1 << 30 },  { "TB", INT64_C(1) << 40 },
                                         { "KiB", 1 << 10 }, { "MiB", 1 << 20 },
                                         { "GiB", 1 << 30 }, { "TiB", INT64_C(1) << 40 },
                                         { NULL, 0 } };
    struct text name;
    int64_t n, factor;

    if (!take_number(value, 0, &n, &name) || !find_unit(units, name, &factor))
        return false;
    return !__builtin_mul_overflow(n, factor, out);
}

static bool parse_octal(struct text v, int64_t *out)
{
    int64_t n = 0;

    if (!v.n || v.n > 10)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '7')
            return false;
        n = n * 8 + (v.p[i] - '0');
    }
    *out = n;
    return true;
}

static bool parse_bool(struct text v, bool *out)
{
    static const char *const yes[] = { "1", "yes", "on", "true", "t", "y", NULL };
    static const char *const no[] = { "0", "no", "off", "false", "f", "n", NULL };

    for (int i = 0; yes[i]; i++) {
        if (text_is_i(v, yes[i])) {
            *out = true;
            return true;
        }
        if (text_is_i(v, no[i])) {
            *out = false;
            return true;
        }
    }
    return false;
}

/* A value as it may stand in an error text: cut, on one line. */
static const char *quoted(struct text v, char out[80])
{
    size_t n = 0;

    out[n++] = '"';
    for (size_t i = 0; i < v.n && n < 74; i++)
        out[n++] = (unsigned char)v.p[i] < 0x20 ? '?' : v.p[i];
    if (n == 74) {
        memcpy(out + n, "...", 3);
        n += 3;
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}

static bool set_int(const struct key *k, struct text value, int64_t *out, struct err *e)
{
    char q[80];
    int64_t v;
    bool ok;

    if (k->flags & KEYF_OCTAL)
        ok = parse_octal(value, &v);
    else if (k->flags & KEYF_BYTES)
        ok = key_parse_bytes(value, &v);
    else
        ok = text_to_int64(value, &v);
    if (!ok)
        return err_set(e, "%s is not %s", quoted(value, q),
                       k->flags & KEYF_OCTAL   ? "an octal file mode"
                       : k->flags & KEYF_BYTES ? "a number of bytes such as 1048576 or 8MB"
                                               : "a whole number");
    if (v < k->min || v > k->max) {
        if (k->flags & KEYF_OCTAL)
            return err_set(e, "%s is outside 0%" PRIo64 " to 0%" PRIo64, quoted(value, q),
                           (uint64_t)k->min, (uint64_t)k->max);
        return err_set(e, "%s is outside %" PRId64 " to %" PRId64, quoted(value, q), k->min,
                       k->max);
    }
    *out = v;
    return true;
}

static bool set_enum(const struct key *k, struct text value, int *out, struct err *e)
{
    struct suggest s;
    char list[300], q[80];
    size_t n = 0;

    suggest_init(&s, value);
    for (int i = 0; k->names[i]; i++) {
        if (text_is_i(value, k->names[i])) {
            *out = i;
            return true;
        }
        suggest_offer(&s, k->names[i]);
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", k->names[i]);
        CHECK(n < sizeof(list));
    }
    if (s.best)
        return err_set(e, "%s is not one of %s, did you mean \"%s\"", quoted(value, q), list,
                       s.best);
    return err_set(e, "%s is not one of %s", quoted(value, q), list);
}

static bool set_text(const struct key *k, struct text value, const char **out,
                     struct key_memory mem, struct err *e)
{
    if (value.n && memchr(value.p, '\0', value.n))
        return err_set(e, "a zero byte is not allowed");
    if (k->flags & KEYF_SECRET)
        *out = secret_text(mem.secrets, value).p;
    else if (!value.n && (k->flags & KEYF_EMPTY_UNSET))
        *out = NULL;
    else
        *out = arena_text(mem.arena, value).p;
    return true;
}

bool key_set(const struct key *k, struct text value, void *base, struct key_memory mem,
             struct err *e)
{
    void *at = (char *)base + k->offset;
    char q[80];
    int64_t v = 0;

    switch (k->kind) {
    case KIND_BOOL:
        if (!parse_bool(value, at))
            return err_set(e, "%s is neither 1 nor 0", quoted(value, q));
        return true;
    case KIND_INT:
        return set_int(k, value, at, e);
    case KIND_INT32:
        if (!set_int(k, value, &v, e))
            return false;
        *(int *)at = (int)v;
        return true;
    case KIND_TIME:
        if (!key_parse_time(value, at))
            return err_set(e, "%s is not a time in seconds", quoted(value, q));
        return true;
    case KIND_TEXT:
        return set_text(k, value, at, mem, e);
    case KIND_ENUM:
        return set_enum(k, value, at, e);
    }
    CHECK(false);
    return false;
}

static void show_time(usec_t t, struct buf *out)
{
    char fraction[8];
    int n;

    if (t == TIME_UNSET)
        return;
    buf_printf(out, "%" PRIu64, (uint64_t)(t / USEC_PER_SEC));
    if (t % USEC_PER_SEC == 0)
        return;
    n = snprintf(fraction, sizeof(fraction), "%06u", (unsigned)(t % USEC_PER_SEC));
    while (n > 1 && fraction[n - 1] == '0')
        n--;
    buf_printf(out, ".%.*s", n, fraction);
}

void key_show(const struct key *k, const void *base, struct buf *out)
{
    const void *at = (const char *)base + k->offset;
    const char *text;
    int i;

    switch (k->kind) {
    case KIND_BOOL:
        buf_char(out, *(const bool *)at ? '1' : '0');
        break;
    case KIND_INT:
        if (k->flags & KEYF_OCTAL)
            buf_printf(out, "0%03" PRIo64, (uint64_t) * (const int64_t *)at);
        else
            buf_printf(out, "%" PRId64, *(const int64_t *)at);
        break;
    case KIND_INT32:
        buf_printf(out, "%d", *(const int *)at);
        break;
    case KIND_TIME:
        show_time(*(const usec_t *)at, out);
        break;
    case KIND_TEXT:
        text = *(const char *const *)at;
        if (k->flags & KEYF_SECRET)
            buf_text_append(out, text && *text ? TEXT("***") : TEXT(""));
        else
            buf_text_append(out, text_of(text));
        break;
    case KIND_ENUM:
        i = *(const int *)at;
        for (int j = 0; k->names[j]; j++)
            if (j == i)
                buf_text_append(out, text_of(k->names[j]));
        break;
    }
}

int keys_count(void)
{
    return COUNT(settings_keys);
}

const struct key_info *keys_at(int i)
{
    CHECK(i >= 0 && i < COUNT(settings_keys));
    return &settings_keys[i].info;
}

void keys_value(const struct setup *s, int i, struct buf *out)
{
    CHECK(i >= 0 && i < COUNT(settings_keys));
    key_show(&settings_keys[i], &s->g, out);
}

const char *pool_mode_name(int mode)
{
    return mode >= 0 && mode < POOL_MODE_UNSET ? pool_mode_names[mode] : "";
}

const char *tenant_mode_name(int mode)
{
    return mode >= 0 && mode < TENANT_MODE_UNSET ? tenant_mode_names[mode] : "";
}

bool key_text_is_clean(struct text t)
{
    const unsigned char *p = (const unsigned char *)t.p;

    for (size_t i = 0; i < t.n;) {
        size_t len = text_utf8_len(p + i, t.n - i);
        if (!len || p[i] < 0x20 || p[i] == 0x7F)
            return false;
        i += len;
    }
    return true;
}
