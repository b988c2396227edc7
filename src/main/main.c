/* SPDX-License-Identifier: ISC */
/* The program. */
#include <stdio.h>

int main(void)
{
    puts(PACKAGE_STRING);
    return 0;
}
