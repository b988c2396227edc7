/* SPDX-License-Identifier: ISC */
/*
 * Signed tokens: a text, the keys and the time in, claims or an error out. No I/O.
 *
 * Two forms are read. JWT (RFC 7519) in the compact serialisation of JWS (RFC 7515) with HS256,
 * RS256 or ES256, and a short one:
 *     v1.BASE64URL(payload).BASE64URL(HMAC-SHA-256(key, "v1.BASE64URL(payload)"))
 * whose payload is the same JSON object as a JWT's. A key serves the one algorithm that its line
 * names, whatever the token says, so neither "none" nor an algorithm of the sender's choice gets
 * through.
 */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include "conf/setup.h"

#define TOKEN_MAX 8192 /* bytes of a token */

struct token_keys; /* immutable; any thread */

/* Makes keys usable. Shared secrets: the text itself, or base64url behind "b64:", of at least 32
 * bytes; RS256: a PEM public key of at least 2048 bits; ES256: one on P-256. NULL: e. */
struct token_keys *token_keys_new(const struct token_key_conf *conf, int n,
                                  struct err *e) MUST_CHECK;
void token_keys_free(struct token_keys *k); /* wipes; NULL is fine */

/* What a token must be besides well signed. Texts are NUL-terminated, "" = not asked. */
struct token_rules {
    const char *audience, *issuer;
    const char *tenant_claim; /* member that names the tenant */
    int64_t leeway_s;         /* granted difference of clocks */
    int64_t max_age_s;        /* 0 = none; else iat is required */
    bool once;                /* jti is required */
};

/* What a token says; texts live in the arena. */
struct token {
    struct text tenant;
    struct text user, sub;      /* empty when absent */
    const struct claim *claims; /* members "claim.NAME", and those of the object "claims" */
    int n_claims;
    int64_t exp;          /* seconds since 1970, leeway included: from then on it is void */
    unsigned char id[32]; /* digest of key and jti, with rules.once */
};

/* now: seconds since 1970. false: e (28000), a text for people that shows nothing of the token. */
bool token_read(const struct token_keys *keys, const struct token_rules *rules, struct text text,
                int64_t now, struct arena *a, struct token *out, struct err *e) MUST_CHECK;

/*
 * Tokens that were used, until they expire (tenant_token_replay=once). Any thread. Holds at most
 * `max`; when it is full of such that live, further ones are refused.
 */
struct token_replay;
struct token_replay *token_replay_new(size_t max); /* NULL: out of memory */
void token_replay_free(struct token_replay *r);
/* Notes a token. false: it was used before, or there is no room. */
bool token_replay_take(struct token_replay *r, const struct token *t, int64_t now);

#endif
