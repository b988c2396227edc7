/* SPDX-License-Identifier: ISC */
/*
 * Claim values and the tenant columns' types: which types are supported, whether a claim is a value
 * of the type, and whether a client's value is the same value. Only exact forms count as equal:
 * what PostgreSQL might read as the same value in some roundabout spelling is "not equal" here.
 */
#ifndef TENANT_VALUE_H
#define TENANT_VALUE_H

#include "base/buf.h"

enum value_oid {
    VALUE_NAME = 19,
    VALUE_INT8 = 20,
    VALUE_INT2 = 21,
    VALUE_INT4 = 23,
    VALUE_TEXT = 25,
    VALUE_UNKNOWN = 705,
    VALUE_BPCHAR = 1042,
    VALUE_VARCHAR = 1043,
    VALUE_UUID = 2950
};

/* Is the type one that tenant columns may have? */
bool value_type_known(uint32_t type);
/* "pg_catalog.text" and so on; NULL for other types. varchar compares as text. */
const char *value_type_sql(uint32_t type);
/* Is the claim's text a value of the type? */
bool value_fits(uint32_t type, struct text claim);
/* Does the text spell the claim's value as a value of the column's type? */
bool value_same(uint32_t type, struct text claim, struct text value);
/* May a parameter declared as `declared` (0 or unknown: inferred by the server) be compared with a
 * column of the type? */
bool value_param_ok(uint32_t type, uint32_t declared);
/* Would the server compare such a parameter by rules of its own (char(n), name)? Then the added
 * predicate has to hold as well. */
bool value_param_loose(uint32_t declared);
/* Does a parameter of that type hold the claim as it is? char(n) loses blanks at the end, name ends
 * at 63 bytes. */
bool value_param_keeps(uint32_t declared, struct text claim);
/* Does a Bind value in binary format equal the claim? declared as above. */
bool value_same_binary(uint32_t type, uint32_t declared, struct text claim, struct text bytes);
/* The element type of an array type whose elements can be values of tenant columns, else 0. */
uint32_t value_array_element(uint32_t array);
/* Does an array's text, "{a,\"b c\"}", have elements, and is each the claim's value? Elements with
 * backslashes, several dimensions and blanks around elements are "no". */
bool value_same_array(uint32_t type, struct text claim, struct text array);
/* The same of an array in binary format (array_send: dimensions, flags, element type, bounds). */
bool value_same_array_binary(uint32_t type, struct text claim, struct text bytes);
/* Appends the claim as a value of the type in binary format; one that does not fit fails out. */
void value_binary(uint32_t type, struct text claim, struct buf *out);

#endif
