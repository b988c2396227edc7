/* SPDX-License-Identifier: ISC */
/*
 * send() and recv() without what the C library adds for threads that are cancelled inside them: two
 * locked instructions around each call. Nothing here cancels threads.
 */
#ifndef NET_SYS_H
#define NET_SYS_H

#include "base/asan.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || BASE_SINGLE_MALLOCS
#define NET_SYS_DIRECT 0 /* sanitizers look at the library's calls */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define NET_SYS_DIRECT 0 /* clang's has no macro of its own */
#endif
#endif

#ifndef NET_SYS_DIRECT
#if defined(SYS_sendto) && defined(SYS_recvfrom)
#define NET_SYS_DIRECT 1
#else
#define NET_SYS_DIRECT 0
#endif
#endif

/* As send(2): bytes sent, or -1 with errno. */
static inline ssize_t sys_send(int fd, const void *p, size_t n, int flags)
{
#if NET_SYS_DIRECT
    return (ssize_t)syscall(SYS_sendto, (long)fd, p, n, (long)flags, NULL, 0L);
#else
    return send(fd, p, n, flags);
#endif
}

/* As recv(2): bytes received, 0 at the end, or -1 with errno. */
static inline ssize_t sys_recv(int fd, void *p, size_t n, int flags)
{
#if NET_SYS_DIRECT
    return (ssize_t)syscall(SYS_recvfrom, (long)fd, p, n, (long)flags, NULL, NULL);
#else
    return recv(fd, p, n, flags);
#endif
}

#endif
