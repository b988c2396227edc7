/* SPDX-License-Identifier: ISC */
/*
 * CHECK holds in release builds too: it states what only our own bug can break, prints where, and
 * aborts. Never for input, lack of memory or the state of a peer.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

_Noreturn void check_failed(const char *file, int line, const char *func, const char *what);

/* Memory is short where nothing can be shed (set-up code): says so and aborts. n: bytes asked for.
 */
_Noreturn void check_no_memory(unsigned long n);

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            check_failed(__FILE__, __LINE__, __func__, #cond);                                     \
    } while (0)

#define MUST_CHECK __attribute__((warn_unused_result))

#endif
