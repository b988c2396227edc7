/* SPDX-License-Identifier: ISC */
/* The program: everything else is in the library. */
#include "main/control.h"

int main(int argc, char **argv)
{
    struct options o;

    options_read(&o, argc, argv);
    if (o.action == OPTIONS_EXIT)
        return o.exit_code;
    return control_main(&o);
}
