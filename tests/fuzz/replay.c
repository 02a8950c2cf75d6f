/* SPDX-License-Identifier: MIT */
/* replay FOLDER…: gives each file of the folders to a target that was built without libFuzzer, by whatever compiler. */
#include "fuzz.h"

#include "base/mem.h"

#include <dirent.h>
#include <string.h>

static void replay(const char *folder, const char *name)
{
        HL_CLEANUP(hl_free_pointer) char *path = hl_format("%s/%s", folder, name);
        HL_CLEANUP(hl_close_file) FILE *file = fopen(path, "re");
        struct hl_buf bytes = { 0 };
        char piece[4096];
        fprintf(stderr, "%s\n", path); /* the last one is the one that failed */
        if (!file)
                exit(2);
        for (size_t n; (n = fread(piece, 1, sizeof(piece), file)) > 0;)
                hl_buf_add(&bytes, piece, n);
        LLVMFuzzerTestOneInput((const uint8_t *)(bytes.data ? bytes.data : ""), bytes.len);
        hl_buf_free(&bytes);
}

int main(int argc, char **argv)
{
        unsigned count = 0;
        for (int i = 1; i < argc; i++) {
                DIR *folder = opendir(argv[i]);
                const struct dirent *entry;
                if (!folder)
                        return 2;
                while ((entry = readdir(folder)))
                        if (*entry->d_name != '.') {
                                replay(argv[i], entry->d_name);
                                count++;
                        }
                closedir(folder);
        }
        printf("%u\n", count);
        return count > 0 ? 0 : 2;
}
