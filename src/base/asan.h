/* SPDX-License-Identifier: ISC */
/*
 * BASE_SINGLE_MALLOCS is 1 when AddressSanitizer watches: arenas and slabs then give each piece a
 * malloc of its own, so that an overrun hits a red zone instead of the neighbour.
 */
#ifndef BASE_ASAN_H
#define BASE_ASAN_H

#if defined(__SANITIZE_ADDRESS__)
#define BASE_SINGLE_MALLOCS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BASE_SINGLE_MALLOCS 1
#endif
#endif

#ifndef BASE_SINGLE_MALLOCS
#define BASE_SINGLE_MALLOCS 0
#endif

#endif
