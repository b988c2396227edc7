/* SPDX-License-Identifier: ISC */
/* Reading a file that may hold secrets: no copy is left behind in freed memory. */
#include "conf/file.h"

#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)256 << 20)

void file_wipe(struct file_text *f)
{
    if (f->p)
        wipe(f->p, f->cap);
    free(f->p);
    *f = (struct file_text){ 0 };
}

static bool grow(struct file_text *f, size_t cap)
{
    char *p;

    if (cap > FILE_MAX) {
        errno = EFBIG;
        return false;
    }
    p = malloc(cap);
    if (!p)
        return false;
    if (f->n)
        memcpy(p, f->p, f->n);
    if (f->p)
        wipe(f->p, f->cap);
    free(f->p);
    f->p = p;
    f->cap = cap;
    return true;
}

static bool read_all(int fd, struct file_text *f)
{
    struct stat st;
    ssize_t got;

    if (fstat(fd, &st) < 0)
        return false;
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return false;
    }
    if (!grow(f, S_ISREG(st.st_mode) && st.st_size >= 0 ? (size_t)st.st_size + 1 : 4096))
        return false;
    for (;;) {
        if (f->n == f->cap && !grow(f, f->cap * 2))
            return false;
        got = read(fd, f->p + f->n, f->cap - f->n);
        if (got == 0)
            return true;
        if (got < 0 && errno != EINTR)
            return false;
        if (got > 0)
            f->n += (size_t)got;
    }
}

bool file_read(const char *path, struct file_text *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int saved;
    bool ok;

    *out = (struct file_text){ 0 };
    if (fd < 0)
        return false;
    ok = read_all(fd, out);
    saved = errno;
    if (!ok)
        file_wipe(out);
    close(fd);
    errno = saved;
    return ok;
}
