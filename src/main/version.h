/* SPDX-License-Identifier: ISC */
/* The version, as --version and SHOW VERSION print it. */
#ifndef MAIN_VERSION_H
#define MAIN_VERSION_H

#define BULKHEAD_VERSION "PgBulkhead " PACKAGE_VERSION

#endif
