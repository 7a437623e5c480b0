// SPDX-License-Identifier: LGPL-2.1-or-later
//
// tally-draw: draws a timeline, or the task server's request times. Exit status: 0, 2 for a wrong
// argument, a file that is none, or a folder that cannot be written.
#include "draw.h"
#include "files.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

json_t *draw_load(const char *path, const char *what) {
    json_error_t error;
    FILE *file = regular_open(path);
    json_t *root = file ? json_loadf(file, 0, &error) : NULL;
    if (file) fclose(file);
    if (!file) reject("cannot read %s; name %s", path, what);
    if (!json_is_object(root)) reject("%s is cut short or no JSON; name %s", path, what);
    return root;
}

int main(int argc, char **argv) {
    json_set_alloc_funcs(checked_malloc, free);
    if (argc == 3 && strcmp(argv[1], "server") == 0) return draw_server(argv[2]) ? 0 : 2;
    if (argc != 4 || strcmp(argv[1], "trace") != 0)
        reject("call it as tally-draw trace FILE.json FILE.svg, or tally-draw server FOLDER");
    char *svg = draw_trace(argv[2]);
    struct text text = {svg, strlen(svg), 0};
    char *folder = checked_strdup(argv[3]), *name = checked_strdup(argv[3]);
    const struct output_file files[] = {{basename(name), &text}};
    const char *in = dirname(folder);
    bool created, good = folder_prepare(in, &created) && folder_write(in, files, 1);
    free(folder);
    free(name);
    free(svg);
    return good ? 0 : 2;
}
