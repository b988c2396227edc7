/* SPDX-License-Identifier: ISC */
/* A password before PAM. */
#include "auth/outside.h"

#ifdef HAVE_PAM
#include "base/random.h"

#include <security/pam_appl.h>
#include <stdlib.h>

static void free_answers(struct pam_response *r, int n)
{
    for (int i = 0; i < n; i++)
        if (r[i].resp) {
            wipe(r[i].resp, strlen(r[i].resp));
            free(r[i].resp);
        }
    free(r);
}

/* Modules may ask for the password, and say things that nobody reads. */
static int converse(int n, const struct pam_message **m, struct pam_response **out, void *arg)
{
    const char *password = arg;
    bool ok = n > 0 && n <= PAM_MAX_NUM_MSG;
    struct pam_response *r = ok ? calloc((size_t)n, sizeof(*r)) : NULL;

    if (!r)
        return ok ? PAM_BUF_ERR : PAM_CONV_ERR;
    for (int i = 0; i < n && ok; i++) {
        int style = m[i]->msg_style;
        if (style == PAM_PROMPT_ECHO_OFF)
            ok = (r[i].resp = strdup(password)) != NULL;
        else
            ok = style == PAM_ERROR_MSG || style == PAM_TEXT_INFO;
    }
    if (ok) {
        *out = r;
        return PAM_SUCCESS;
    }
    free_answers(r, n);
    return PAM_CONV_ERR;
}

/* One thread asks for all clients: nobody waits for another one's wrong password. */
static void no_delay(int result, unsigned usec, void *arg)
{
    (void)result;
    (void)usec;
    (void)arg;
}

static bool set_delay(pam_handle_t *h)
{
    void (*fn)(int, unsigned, void *) = no_delay;
    const void *item;

    memcpy(&item, &fn, sizeof(item)); /* PAM takes the function as an object's address */
    return pam_set_item(h, PAM_FAIL_DELAY, item) == PAM_SUCCESS;
}

/* A module may map names; we know the client by the name it gave. */
static bool same_user(pam_handle_t *h, const char *user)
{
    const void *now = NULL;

    return pam_get_item(h, PAM_USER, &now) == PAM_SUCCESS && now && strcmp(now, user) == 0;
}

static bool is_trouble(int rc)
{
    return rc == PAM_OPEN_ERR || rc == PAM_SYMBOL_ERR || rc == PAM_SERVICE_ERR ||
           rc == PAM_SYSTEM_ERR || rc == PAM_BUF_ERR || rc == PAM_ABORT ||
           rc == PAM_AUTHINFO_UNAVAIL || rc == PAM_MODULE_UNKNOWN;
}

enum outside_answer outside_pam(const char *service, const char *user, const char *password,
                                const char *rhost, struct err *e)
{
    struct pam_conv conv = { converse, (void *)(uintptr_t)password };
    pam_handle_t *h = NULL;
    const char *step = "pam_start";
    int rc = pam_start(service, user, &conv, &h);

    if (rc != PAM_SUCCESS) {
        err_set(e, "pam_start failed for service \"%s\"", service);
        return OUTSIDE_FAILED;
    }
    if (!set_delay(h) || pam_set_item(h, PAM_RHOST, rhost) != PAM_SUCCESS)
        rc = PAM_BUF_ERR;
    if (rc == PAM_SUCCESS) {
        step = "pam_authenticate";
        rc = pam_authenticate(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    }
    if (rc == PAM_SUCCESS) {
        step = "pam_acct_mgmt";
        rc = pam_acct_mgmt(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    }
    if (rc == PAM_SUCCESS && !same_user(h, user)) {
        step = "PAM";
        rc = PAM_PERM_DENIED;
    }
    if (rc != PAM_SUCCESS)
        err_set(e, "%s failed: %s", step, pam_strerror(h, rc));
    pam_end(h, rc);
    return rc == PAM_SUCCESS ? OUTSIDE_YES : is_trouble(rc) ? OUTSIDE_FAILED : OUTSIDE_NO;
}
#else
enum outside_answer outside_pam(const char *service, const char *user, const char *password,
                                const char *rhost, struct err *e)
{
    (void)service, (void)user, (void)password, (void)rhost;
    err_set(e, "built without PAM");
    return OUTSIDE_FAILED;
}
#endif
