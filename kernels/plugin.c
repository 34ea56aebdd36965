/* plugin.c - see plugin.h. The path, then the file's owner, then its shape, then its table. */
#include "kernels/plugin.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How far to look for the ABI that a plug-in does answer to, for the sentence that refuses it. */
enum { ABI_ASKED_MOST = 64, HEADERS_MOST = 64 };

static const struct row {
    enum device_reason reason;
    const char *name, *advice;
} rows[] = {
#define DEVICE_REASON(name, number, advice) {REASON_##name, #name, advice},
#include "proto/device_reason.def"
#undef DEVICE_REASON
};

static const struct row *row_of(enum device_reason reason)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].reason == reason)
            return &rows[i];
    return &rows[0];
}

const char *device_reason_name(enum device_reason reason)
{
    return row_of(reason)->name;
}

const char *device_reason_advice(enum device_reason reason)
{
    return row_of(reason)->advice;
}

/* False, so that a check can end with it. */
__attribute__((format(printf, 3, 4))) static bool no(struct refusal *why, enum device_reason reason,
                                                     const char *format, ...)
{
    va_list list;

    if (!why)
        return false;
    va_start(list, format);
    why->reason = reason;
    vsnprintf(why->text, sizeof why->text, format, list);
    va_end(list);
    return false;
}

/* folder/file; a folder is cut at its last slash. False: too long, or our own path cannot be read. */
static bool path_make(const char *folder, char path[PLUGIN_PATH_BYTES])
{
    char own[PLUGIN_PATH_BYTES];
    int written;

    if (folder && folder[0]) {
        written = snprintf(path, PLUGIN_PATH_BYTES, "%s/" PLUGIN_FILE, folder);
        return written > 0 && written < PLUGIN_PATH_BYTES;
    }
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length <= 0)
        return false;
    own[length] = '\0';
    *strrchr(own, '/') = '\0';
    written = snprintf(path, PLUGIN_PATH_BYTES, "%s/" PLUGIN_FOLDER "/" PLUGIN_FILE, own);
    return written > 0 && written < PLUGIN_PATH_BYTES;
}

/* The absolute path without links, which is what is checked and then opened. */
static bool path_resolve(const char *folder, char out[PLUGIN_PATH_BYTES], struct refusal *why)
{
    char asked[PLUGIN_PATH_BYTES];

    if (folder && folder[0] && folder[0] != '/')
        return no(why, REASON_PLUGIN_MISSING, "the folder of plug-ins '%.120s' is no absolute path",
                  folder);
    if (!path_make(folder, asked))
        return no(why, REASON_PLUGIN_MISSING, "the path of the plug-in is too long");
    char *whole = realpath(asked, NULL);
    if (!whole)
        return no(why, REASON_PLUGIN_MISSING, "cannot open '%.130s': %s", asked, strerror(errno));
    int written = snprintf(out, PLUGIN_PATH_BYTES, "%s", whole);
    free(whole);
    return written < PLUGIN_PATH_BYTES ||
           no(why, REASON_PLUGIN_MISSING, "the path of the plug-in is too long");
}

/* Nobody but root and we may have a say in it. A group counts as nobody else only if it is ours. */
static bool owner_check(const char *path, struct refusal *why)
{
    struct stat file;

    if (stat(path, &file) != 0)
        return no(why, REASON_PLUGIN_MISSING, "cannot open '%.130s': %s", path, strerror(errno));
    if (file.st_uid != 0 && file.st_uid != geteuid())
        return no(why, REASON_PLUGIN_UNSAFE,
                  "'%.100s' belongs to user %u, and only root or user %u may own it", path,
                  (unsigned)file.st_uid, (unsigned)geteuid());
    bool group = (file.st_mode & S_IWGRP) && file.st_gid != 0 && file.st_gid != getegid();
    if ((file.st_mode & S_IWOTH) || group)
        return no(why, REASON_PLUGIN_UNSAFE,
                  "'%.120s' can be written by others (mode %04o), so it is not loaded", path,
                  (unsigned)file.st_mode & 07777);
    return true;
}

static bool owners_check(const char *path, struct refusal *why)
{
    char folder[PLUGIN_PATH_BYTES];

    if (!owner_check(path, why))
        return false;
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    slash[slash == folder] = '\0';
    return owner_check(folder, why);
}

static const char *header_mistake(const Elf64_Ehdr *header)
{
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return "it is no ELF file";
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_type != ET_DYN ||
        header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > HEADERS_MOST)
        return "it is no 64-bit shared library";
    return NULL;
}

/* What the loader would map must lie in the file: it dies on a page that does not. */
static const char *shape_mistake(int file, int64_t bytes)
{
    static const char cut[] = "it is cut short";
    Elf64_Ehdr header;
    Elf64_Phdr part;

    if (pread(file, &header, sizeof header, 0) != (ssize_t)sizeof header)
        return bytes >= SELFMAG ? cut : "it is no ELF file";
    if (header_mistake(&header))
        return header_mistake(&header);
    for (int i = 0; i < header.e_phnum; i++) {
        uint64_t at = header.e_phoff + (uint64_t)i * sizeof part, end;
        if (at > (uint64_t)bytes || pread(file, &part, sizeof part, (off_t)at) != sizeof part)
            return cut;
        if (part.p_type == PT_LOAD &&
            (__builtin_add_overflow(part.p_offset, part.p_filesz, &end) || end > (uint64_t)bytes))
            return cut;
    }
    return NULL;
}

static bool shape_check(const char *path, struct refusal *why)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat about;
    const char *mistake = NULL;

    if (file < 0)
        return no(why, REASON_PLUGIN_MISSING, "cannot open '%.130s': %s", path, strerror(errno));
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode))
        mistake = "it is no file";
    if (!mistake)
        mistake = shape_mistake(file, about.st_size);
    close(file);
    return !mistake || no(why, REASON_PLUGIN_BROKEN, "'%.130s' does not load: %s", path, mistake);
}

/* The loader's words name the path themselves. */
static backend_plugin *symbol_open(const char *path, struct refusal *why)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    union {
        void *object;
        backend_plugin *function;
    } symbol = {.object = NULL};

    if (library)
        symbol.object = dlsym(library, BACKEND_PLUGIN_SYMBOL);
    if (!symbol.object) {
        const char *said = dlerror();
        no(why, REASON_PLUGIN_BROKEN, "%.190s", said ? said : "the plug-in's symbol is NULL");
    }
    return symbol.function;
}

/* The ABI it answers to, when it is not ours; 0: none near ours. */
static uint32_t abi_of(backend_plugin *plugin)
{
    for (uint32_t abi = 1; abi < ABI_ASKED_MOST; abi++)
        if (abi != BACKEND_ABI && plugin(abi))
            return abi;
    return 0;
}

/* Every entry but the last two must be there. Of a foreign table only its first two words are read. */
static bool table_check(const char *path, const struct backend *table, struct refusal *why)
{
    static const size_t first = offsetof(struct backend, devices),
                        end = offsetof(struct backend, fits_plan);
    void (*entry)(void);

    if (table->abi != BACKEND_ABI || table->bytes != sizeof *table)
        return no(why, REASON_PLUGIN_ABI,
                  "'%.90s' says ABI %u with a table of %u bytes; this program has ABI %d with %zu",
                  path, table->abi, table->bytes, BACKEND_ABI, sizeof *table);
    for (size_t at = first; at < end; at += sizeof entry) {
        memcpy(&entry, (const char *)table + at, sizeof entry);
        if (!entry)
            return no(why, REASON_PLUGIN_BROKEN, "'%.120s' leaves entry %zu of its table empty",
                      path, (at - first) / sizeof entry);
    }
    if (!table->name || !table->name[0] || !table->build || backend_named(table->name))
        return no(why, REASON_PLUGIN_BROKEN, "'%.120s' has no name of its own", path);
    return true;
}

const struct backend *plugin_open(const char *folder, struct refusal *why)
{
    char path[PLUGIN_PATH_BYTES];
    backend_plugin *plugin;

    if (!path_resolve(folder, path, why) || !owners_check(path, why) || !shape_check(path, why))
        return NULL;
    plugin = symbol_open(path, why);
    if (!plugin)
        return NULL;
    const struct backend *table = plugin(BACKEND_ABI);
    if (table)
        return table_check(path, table, why) ? table : NULL;
    uint32_t theirs = abi_of(plugin);
    if (theirs)
        no(why, REASON_PLUGIN_ABI, "'%.120s' was built for ABI %u; this program has ABI %d", path,
           theirs, BACKEND_ABI);
    else
        no(why, REASON_PLUGIN_ABI, "'%.120s' was built for another ABI than this program's %d",
           path, BACKEND_ABI);
    return NULL;
}
