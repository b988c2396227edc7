/* SPDX-License-Identifier: ISC */
/* The machine over COPY's rows, any options and bytes, against a reader of the tests' own: whatever
 * it lets through is the tenant's, and it lets through what is. */
#include "../unit/copy_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct copy_plan p;
    if (size <= COPY_PLAN_BYTES || size > 20000 || !copy_plan_of(data, &p))
        return 0;
    copy_check(&p, copy_value_of(data, &p),
               text_n((const char *)data + COPY_PLAN_BYTES, size - COPY_PLAN_BYTES),
               1 + data[1] / 3 % 16);
    return 0;
}
