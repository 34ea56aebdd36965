/* file.c - written aside, synced, renamed, and the folder synced: in this order or not at all. */
#include "host/base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/fault.h"
#include "host/base/memory.h"

/* Life: from file_create to file_adopt or file_discard. */
struct file {
    int fd;
    char *path; /* where it will be */
    char *part; /* where it is written */
};

/* The row for errno `cause` of "cannot `verb` 'path'". */
static enum status file_failed(struct error *error, const char *verb, const char *path, int cause)
{
    char words[128], what[ERROR_VALUE_BYTES + 64];
    const char *why = strerror_r(cause, words, sizeof words);

    switch (cause) {
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
        return FAIL(error, FILE_NOT_FOUND, TEXT("path", path), TEXT("why", why));
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return FAIL(error, STORAGE_FULL, TEXT("what", path), TEXT("why", why));
    case ENOMEM:
        return FAIL(error, OUT_OF_MEMORY, TEXT("what", path), INT("needed", 0),
                    INT("retry_ms", 1000));
    default:
        snprintf(what, sizeof what, "%s '%s'", verb, path);
        return FAIL(error, IO, TEXT("what", what), TEXT("why", why));
    }
}

static enum status memory_failed(struct error *error, const char *path, size_t bytes)
{
    return FAIL(error, OUT_OF_MEMORY, TEXT("what", path), INT("needed", bytes),
                INT("retry_ms", 1000));
}

static char *path_part(const char *path)
{
    size_t bytes = strlen(path);
    char *part = memory_new(bytes + sizeof ".part", 1);

    if (part) {
        memcpy(part, path, bytes);
        memcpy(part + bytes, ".part", sizeof ".part");
    }
    return part;
}

static void file_free(struct file **file)
{
    if ((*file)->fd >= 0)
        close((*file)->fd);
    memory_free((*file)->path);
    memory_free((*file)->part);
    memory_free(*file);
    *file = NULL;
}

enum status file_create(const char *path, struct file **out, struct error *error)
{
    struct file *file = memory_zeroed(1, sizeof *file);
    int cause;

    if (!file)
        return memory_failed(error, path, sizeof *file);
    file->fd = -1;
    file->path = text_copy(path);
    file->part = path_part(path);
    if (!file->path || !file->part) {
        file_free(&file);
        return memory_failed(error, path, strlen(path));
    }
    file->fd = open(file->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (file->fd < 0) {
        cause = errno;
        file_free(&file);
        return file_failed(error, "create", path, cause);
    }
    *out = file;
    return STATUS_OK;
}

enum status file_write(struct file *file, const void *data, size_t bytes, struct error *error)
{
    const unsigned char *next = data;

    if (fault_here("file_write"))
        return file_failed(error, "write", file->path, ENOSPC);
    while (bytes > 0) {
        ssize_t written = write(file->fd, next, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return file_failed(error, "write", file->path, written < 0 ? errno : ENOSPC);
        next += written;
        bytes -= (size_t)written;
    }
    return STATUS_OK;
}

/* 0, or the errno of a failed sync. */
static int sync_fd(int fd)
{
    if (fault_here("file_sync"))
        return EIO;
    /* EINVAL, EROFS: this kind of file or file system has no sync to wait for. */
    return fsync(fd) == 0 || errno == EINVAL || errno == EROFS ? 0 : errno;
}

static enum status file_close_synced(struct file *file, struct error *error)
{
    int cause = sync_fd(file->fd);
    int fd = file->fd;

    file->fd = -1;
    if (close(fd) != 0 && cause == 0 && errno != EINTR)
        cause = errno; /* network file systems say ENOSPC here */
    return cause ? file_failed(error, "sync", file->path, cause) : STATUS_OK;
}

static enum status folder_of_sync(const char *path, struct error *error)
{
    const char *slash = strrchr(path, '/');
    size_t bytes = slash ? (size_t)(slash - path) : 0;
    char *folder;
    enum status status;

    if (!slash)
        return folder_sync(".", error);
    if (bytes == 0)
        return folder_sync("/", error);
    folder = memory_new(bytes + 1, 1);
    if (!folder)
        return memory_failed(error, path, bytes + 1);
    memcpy(folder, path, bytes);
    folder[bytes] = 0;
    status = folder_sync(folder, error);
    memory_free(folder);
    return status;
}

enum status file_adopt(struct file **file, struct error *error)
{
    struct file *it = *file;
    enum status status;

    assert(it->fd >= 0); /* a failed adopt is final: only file_discard is left */
    TRY(file_close_synced(it, error));
    if (fault_here("file_rename"))
        return file_failed(error, "rename", it->path, EIO);
    if (rename(it->part, it->path) != 0)
        return file_failed(error, "rename", it->path, errno);
    TRY(folder_of_sync(it->path, error));
    file_free(file);
out:
    return status;
}

void file_discard(struct file **file)
{
    if (!*file)
        return;
    unlink((*file)->part);
    file_free(file);
}

/* Opens for reading; a folder, pipe or device is refused. */
static enum status regular_open(const char *path, int *fd, size_t *bytes, struct error *error)
{
    struct stat about;
    int cause;

    *fd = open(path,
               O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not hang us */
    if (*fd < 0)
        return file_failed(error, "open", path, errno);
    cause = fstat(*fd, &about) != 0 ? errno : S_ISDIR(about.st_mode) ? EISDIR : 0;
    if (cause == 0 && S_ISREG(about.st_mode)) {
        *bytes = (size_t)about.st_size;
        return STATUS_OK;
    }
    close(*fd);
    if (cause)
        return file_failed(error, "open", path, cause);
    return FAIL(error, FILE_NOT_FOUND, TEXT("path", path), TEXT("why", "Not a regular file"));
}

static enum status size_refused(struct error *error, const char *path, size_t bytes,
                                size_t bytes_max)
{
    char what[ERROR_VALUE_BYTES], limit[64];

    snprintf(what, sizeof what, "the size of '%.200s'", path);
    snprintf(limit, sizeof limit, "at most %zu bytes", bytes_max);
    return FAIL(error, OUT_OF_RANGE, TEXT("what", what), INT("value", bytes), TEXT("limit", limit));
}

/* Reads up to `bytes` bytes; fewer where the file ends before. 0 or errno. */
static int read_fully(int fd, unsigned char *to, size_t bytes, size_t *got)
{
    for (*got = 0; *got < bytes;) {
        ssize_t here = read(fd, to + *got, bytes - *got);
        if (here < 0 && errno == EINTR)
            continue;
        if (here < 0)
            return errno;
        if (here == 0)
            break;
        *got += (size_t)here;
    }
    return 0;
}

enum status file_read_all(const char *path, size_t bytes_max, void **out, size_t *bytes,
                          struct error *error)
{
    unsigned char *data = NULL;
    size_t size = 0, got = 0;
    enum status status;
    int fd, cause;

    status = regular_open(path, &fd, &size, error);
    if (status != STATUS_OK)
        return status;
    if (size > bytes_max) {
        status = size_refused(error, path, size, bytes_max);
        goto out;
    }
    data = memory_new(size + 1, 1); /* a 0 behind: text can be read as text */
    if (!data) {
        status = memory_failed(error, path, size + 1);
        goto out;
    }
    cause = read_fully(fd, data, size, &got);
    if (cause) {
        status = file_failed(error, "read", path, cause);
        memory_free(data);
        goto out;
    }
    data[got] = 0;
    *out = data;
    *bytes = got;
out:
    close(fd);
    return status;
}

enum status file_map(const char *path, struct mapping *out, struct error *error)
{
    size_t bytes = 0;
    void *data;
    enum status status;
    int fd, cause;

    status = regular_open(path, &fd, &bytes, error);
    if (status != STATUS_OK)
        return status;
    if (bytes == 0) { /* nothing can be mapped, and nothing need be */
        close(fd);
        *out = (struct mapping){.data = "", .bytes = 0};
        return STATUS_OK;
    }
    data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    cause = errno;
    close(fd);
    if (data == MAP_FAILED)
        return file_failed(error, "map", path, cause);
    *out = (struct mapping){.data = data, .bytes = bytes};
    return STATUS_OK;
}

void file_unmap(struct mapping *mapping)
{
    if (mapping->bytes > 0) {
        union {
            const void *borrowed;
            void *ours;
        } data = {.borrowed = mapping->data};
        munmap(data.ours, mapping->bytes);
    }
    *mapping = (struct mapping){0};
}

static bool folder_stands(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

enum status folder_make(const char *path, int mode, struct error *error)
{
    char *walked = text_copy(path);
    enum status status = STATUS_OK;

    if (!walked)
        return memory_failed(error, path, strlen(path) + 1);
    for (char *at = walked; status == STATUS_OK && *at; at++) {
        char *slash = strchr(at + 1, '/');
        if (slash)
            *slash = 0;
        /* EEXIST alone would also be said of a file, EROFS or EACCES of a parent that is there. */
        if (mkdir(walked, (mode_t)mode) != 0) {
            int cause = errno;
            if (!folder_stands(walked))
                status = file_failed(error, "make", walked, cause);
        }
        if (!slash)
            break;
        *slash = '/';
        at = slash - 1;
    }
    memory_free(walked);
    return status;
}

enum status folder_sync(const char *path, struct error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int cause;

    if (fd < 0)
        return file_failed(error, "open", path, errno);
    cause = sync_fd(fd);
    close(fd);
    return cause ? file_failed(error, "sync", path, cause) : STATUS_OK;
}
