/* SPDX-License-Identifier: ISC */
/* A main() for fuzz targets without libFuzzer: runs the target over the files and folders given. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return -1;
    size_t n = 0, cap = 65536, got;
    uint8_t *data = malloc(cap);
    while (data && (got = fread(data + n, 1, cap - n, f)) > 0) {
        n += got;
        if (n == cap) {
            uint8_t *more = realloc(data, cap *= 2);
            if (!more)
                free(data);
            data = more;
        }
    }
    fclose(f);
    if (!data)
        return -1;
    LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 0;
}

static int run(const char *path)
{
    DIR *d = opendir(path);
    if (!d)
        return run_file(path);
    int failed = 0;
    for (struct dirent *e; (e = readdir(d));) {
        char name[4096];
        if (e->d_name[0] == '.')
            continue;
        int n = snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        if (n < 0 || (size_t)n >= sizeof(name) || run_file(name) < 0)
            failed = -1;
    }
    closedir(d);
    return failed;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (run(argv[i]) < 0) {
            perror(argv[i]);
            return 1;
        }
    }
    return 0;
}
