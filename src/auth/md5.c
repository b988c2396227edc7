/* SPDX-License-Identifier: ISC */
/* PostgreSQL's md5 exchange ("Frontend/Backend Protocol", AuthenticationMD5Password). */
#include "auth/digest.h"
#include "auth/scram.h"
#include "base/random.h"

bool md5_is_secret(struct text t)
{
    if (t.n != 35 || !text_starts(t, TEXT("md5")))
        return false;
    for (size_t i = 3; i < t.n; i++) {
        if (!(t.p[i] >= '0' && t.p[i] <= '9') && !(t.p[i] >= 'a' && t.p[i] <= 'f'))
            return false;
    }
    return true;
}

bool md5_answer(struct text secret, struct text user, const unsigned char salt[4], char out[36])
{
    char inner[33], outer[33];
    bool done = true;
    if (md5_is_secret(secret))
        memcpy(inner, secret.p + 3, 32);
    else
        done = digest_md5_hex(secret, user, inner);
    done = done && digest_md5_hex(text_n(inner, 32), text_n((const char *)salt, 4), outer);
    memset(out, 0, 36);
    if (done) {
        memcpy(out, "md5", 3);
        memcpy(out + 3, outer, 32);
    }
    wipe(inner, sizeof(inner));
    return done;
}

bool md5_check(struct text secret, struct text user, const unsigned char salt[4],
               struct text answer)
{
    char want[36];
    bool done = md5_answer(secret, user, salt, want);
    bool same = done && answer.n == 35 && digest_same(answer.p, want, 35);
    wipe(want, sizeof(want));
    return same;
}
