/* SPDX-License-Identifier: ISC */
/* The program: everything else is in the library. */
#include "main/control.h"
#include "main/explain.h"
#include "main/init_rules.h"
#include "top/top.h"

#include <string.h>

int main(int argc, char **argv)
{
    struct options o;

    /* Configuration files of these names are ./explain and ./top. */
    if (argc > 2 && strcmp(argv[1], "explain") == 0)
        return explain_main(argc - 1, argv + 1);
    if (argc > 2 && strcmp(argv[1], "top") == 0)
        return top_main(argc - 1, argv + 1);
    options_read(&o, argc, argv);
    if (o.action == OPTIONS_EXIT)
        return o.exit_code;
    if (o.action == OPTIONS_INIT)
        return init_rules(o.init, o.columns, stdout);
    return control_main(&o);
}
