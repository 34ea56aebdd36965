/* kernels.cu - what the plug-in's kernels ask of a card: one line each, for perf/gpu/resources.txt. It
 * fails if a kernel asks for more than every card since sm_80 has, or two have one name, or one is not
 * named as kernels/cuda/README.md says. */
#include <stdio.h>
#include <string.h>

#include "kernels/cuda/plugin.h"

/* Lower-case words, digits among them, with single underscores between. */
static bool named_well(const char *name)
{
    char last = '_';

    for (; *name; last = *name++)
        if (!(*name >= 'a' && *name <= 'z') && !(*name >= '0' && *name <= '9') &&
            !(*name == '_' && last != '_'))
            return false;
    return last != '_';
}

static const char *fault_of(const struct kernel_list &list, int at)
{
    const struct kernel_row &row = list.row[at];

    if (row.threads % WARP != 0 || row.threads < WARP || row.threads > 1024)
        return "its threads are no whole warps, or too many";
    if (row.blocks < 1 || row.blocks * row.threads > 2048)
        return "no processor holds so many threads";
    if (row.shared > SHARED_BYTES_MOST)
        return "its shared memory is more than a block may have everywhere";
    if (!named_well(row.name))
        return "its name is not words with underscores between";
    for (int i = 0; i < at; i++)
        if (strcmp(list.row[i].name, row.name) == 0)
            return "another kernel has its name";
    return NULL;
}

int main()
{
    struct kernel_list list;
    bool well = true;

    kernel_list_all(&list);
    for (int i = 0; i < list.count; i++) {
        const struct kernel_row &row = list.row[i];
        const char *fault = fault_of(list, i);
        printf("%-28s threads %4d  blocks %2d  shared %6zu\n", row.name, row.threads, row.blocks,
               row.shared);
        if (fault)
            printf("%s: %s\n", row.name, fault);
        well &= !fault;
    }
    return well && list.count > 0 ? 0 : 1;
}
