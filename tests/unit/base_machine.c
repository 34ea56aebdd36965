#include "host/base/machine.h"

#include "host/base/file.h"
#include "tests/check.h"

#define GIB ((int64_t)1 << 30)

/* A cgroup tree of our own: /top/middle/own, of which this process is a member. */
struct tree {
    char folder[64], membership[96], cgroups[96];
    struct machine_roots roots;
};

static void tree_put(const struct tree *tree, const char *path, const char *text)
{
    char name[256];
    FILE *file;

    snprintf(name, sizeof name, "%s/%s", tree->folder, path);
    file = fopen(name, "w");
    fputs(text, file);
    fclose(file);
}

static void tree_make(struct tree *tree)
{
    char own[160];

    snprintf(tree->folder, sizeof tree->folder, "/tmp/bary-machine-XXXXXX");
    if (!mkdtemp(tree->folder))
        abort();
    snprintf(tree->membership, sizeof tree->membership, "%s/membership", tree->folder);
    snprintf(tree->cgroups, sizeof tree->cgroups, "%s/cg", tree->folder);
    tree->roots = (struct machine_roots){tree->membership, tree->cgroups};
    snprintf(own, sizeof own, "%s/top/middle/own", tree->cgroups);
    folder_make(own, 0700, NULL);
    tree_put(tree, "membership", "1:name=systemd:/other\n0::/top/middle/own\n");
}

static void tree_remove(const struct tree *tree)
{
    char command[128];

    snprintf(command, sizeof command, "rm -r '%s'", tree->folder);
    if (system(command) != 0)
        abort();
}

static int64_t memory_of(const struct tree *tree, int64_t ram, char *source)
{
    return machine_memory_of(&tree->roots, ram, source);
}

static void without_limits_memory_is_ram_less_a_tenth(struct check *check)
{
    char source[MACHINE_SOURCE_BYTES];
    struct tree tree;

    tree_make(&tree);
    check_equal_i64(check, memory_of(&tree, 10 * GIB, source), 9 * GIB);
    check_equal_text(check, source, "ram");
    tree_put(&tree, "cg/top/memory.max", "max\n");
    check_equal_i64(check, memory_of(&tree, 10 * GIB, source), 9 * GIB);
    check_equal_i64(check, memory_of(&tree, GIB, source), GIB - ((int64_t)256 << 20));
    check_equal_i64(check, memory_of(&tree, (int64_t)200 << 20, source), 0);
    tree_remove(&tree);
}

static void the_least_of_own_group_and_parents_decides(struct check *check)
{
    char source[MACHINE_SOURCE_BYTES];
    struct tree tree;

    tree_make(&tree);
    tree_put(&tree, "cg/top/middle/own/memory.max", "8589934592\n");
    tree_put(&tree, "cg/top/memory.high", "5368709120\n");
    tree_put(&tree, "cg/top/middle/memory.max", "6442450944\n");
    check_equal_i64(check, memory_of(&tree, 10 * GIB, source), 5 * GIB - 5 * GIB / 10);
    check_true(check, strstr(source, "/cg/top/memory.high") != NULL);
    tree_put(&tree, "cg/memory.max", "4294967296\n"); /* the root of a container's own view */
    check_equal_i64(check, memory_of(&tree, 10 * GIB, source), 4 * GIB - 4 * GIB / 10);
    tree_remove(&tree);
}

static void a_group_beyond_our_view_leaves_the_root_in_charge(struct check *check)
{
    static const char *const memberships[] = {"0::/../elsewhere\n", "0::/\n", "0::/gone/for/good\n",
                                              ""};
    char source[MACHINE_SOURCE_BYTES];
    struct tree tree;

    tree_make(&tree);
    tree_put(&tree, "cg/memory.max", "4294967296\n");
    tree_put(&tree, "memory.max", "1\n"); /* "/.." must not lead here */
    for (size_t i = 0; i < sizeof memberships / sizeof memberships[0]; i++) {
        tree_put(&tree, "membership", memberships[i]);
        check_note(check, "membership %s", memberships[i]);
        check_equal_i64(check, memory_of(&tree, 10 * GIB, source), 4 * GIB - 4 * GIB / 10);
    }
    tree_remove(&tree);
}

static void threads_are_the_least_of_mask_quota_and_variable(struct check *check)
{
    char source[MACHINE_SOURCE_BYTES];
    struct tree tree;

    tree_make(&tree);
    check_equal_i64(check, machine_threads_of(&tree.roots, 8, NULL, source), 8);
    check_equal_text(check, source, "affinity");
    tree_put(&tree, "cg/top/cpu.max", "max 100000\n");
    check_equal_i64(check, machine_threads_of(&tree.roots, 8, NULL, source), 8);
    tree_put(&tree, "cg/top/middle/cpu.max", "250000 100000\n"); /* 2.5 CPUs: rounded up */
    check_equal_i64(check, machine_threads_of(&tree.roots, 8, NULL, source), 3);
    check_true(check, strstr(source, "/cg/top/middle/cpu.max") != NULL);
    check_equal_i64(check, machine_threads_of(&tree.roots, 2, NULL, source), 2);
    check_equal_i64(check, machine_threads_of(&tree.roots, 8, "2,4", source), 2);
    check_equal_text(check, source, "OMP_NUM_THREADS");
    check_equal_i64(check, machine_threads_of(&tree.roots, 8, "junk", source), 3);
    check_equal_i64(check, machine_threads_of(&tree.roots, 8, "-1", source), 3);
    tree_put(&tree, "cg/top/middle/cpu.max", "1000 100000\n");
    check_equal_i64(check, machine_threads_of(&tree.roots, 8, NULL, source), 1);
    tree_remove(&tree);
}

static void this_machine_has_memory_threads_and_a_source(struct check *check)
{
    const char *source = NULL, *again = NULL;

    check_true(check, machine_memory_budget(&source) >= 0 && source && source[0]);
    check_true(check,
               machine_memory_budget(&again) == machine_memory_budget(NULL) && again == source);
    check_true(check, machine_threads(&source) >= 1 && source && source[0]);
    check_true(check, machine_refusal() == NULL); /* the build runs here */
}

CHECKS(CLAIM(without_limits_memory_is_ram_less_a_tenth),
       CLAIM(the_least_of_own_group_and_parents_decides),
       CLAIM(a_group_beyond_our_view_leaves_the_root_in_charge),
       CLAIM(threads_are_the_least_of_mask_quota_and_variable),
       CLAIM(this_machine_has_memory_threads_and_a_source))
