/* limits.h - every maximum of the service, once.
 *
 * LIMIT(name, default, least, most, unit, help)
 * Each row is a key of the configuration's [limits] section, a field of struct limits, and a line
 * of GetServer. What is not a row here (FIXED_LIMITS) is part of a format and cannot be configured. */
#ifndef BARY_PROTO_LIMITS_H
#define BARY_PROTO_LIMITS_H

#include <stdint.h>

/* clang-format off */
#define LIMITS(LIMIT) \
    LIMIT(connections,            4096,        1,      65536, "count", "open connections in total") \
    LIMIT(streams_per_connection,  128,        1,       4096, "count", "concurrent calls on one connection") \
    LIMIT(calls,                  4096,        1,      65536, "count", "calls in progress in total") \
    LIMIT(unpack_bytes,      268435456,  1048576, 8589934592, "bytes", "memory for unpacked requests, all calls together") \
    LIMIT(upload_streams,            8,        1,       1024, "count", "upload streams per principal") \
    LIMIT(fast_requests,           256,        1,      65536, "count", "requests queued in the fast lane") \
    LIMIT(fast_bytes,         67108864,  1048576, 8589934592, "bytes", "bytes queued in the fast lane") \
    LIMIT(queued_jobs,              64,        1,      65536, "count", "queued jobs per principal") \
    LIMIT(queued_jobs_total,      1024,        1,      65536, "count", "queued jobs in total") \
    LIMIT(objects,                1000,        1,    1000000, "count", "datasets and models per namespace") \
    LIMIT(watchers_per_job,         16,        1,       1024, "count", "watchers of one job") \
    LIMIT(watchers,               1024,        1,      65536, "count", "watchers in total") \
    LIMIT(finished_job_s,        86400,        1,     604800, "s",     "how long a finished job and a request id are kept") \
    LIMIT(finished_jobs,         10000,        1,    1000000, "count", "finished jobs kept in total, the oldest go first") \
    LIMIT(upload_idle_s,           900,        1,      86400, "s",     "how long an upload without traffic is kept") \
    LIMIT(stream_idle_s,            60,        1,       3600, "s",     "how long a stream without traffic is kept") \
    LIMIT(dataset_ttl_s,          3600,        1,     604800, "s",     "how long an unused dataset is kept, unless asked for otherwise") \
    LIMIT(hang_ms,               10000,       50,    3600000, "ms",    "how long a GPU may let nothing be heard of a job, at least") \
    LIMIT(hang_factor,              20,        1,       1000, "count", "and how many times what its longest step was expected to take") \
    LIMIT(device_open_ms,        60000,       50,     600000, "ms",    "how long the start waits for a GPU to open") \
    LIMIT(device_retry_s,           60,        1,      86400, "s",     "how often a GPU that another process holds is tried again") \
    LIMIT(call_default_ms,       30000,        1,      60000, "ms",    "deadline of a unary call that brings none") \
    LIMIT(call_max_ms,           60000,        1,     600000, "ms",    "longest deadline of a unary call")
/* clang-format on */

struct limits {
#define LIMIT(name, preset, least, most, unit, help) int64_t name;
    LIMITS(LIMIT)
#undef LIMIT
};

/* Sets every limit to its default. */
static inline struct limits limits_default(void)
{
    return (struct limits)
    {
#define LIMIT(name, preset, least, most, unit, help) .name = (preset),
        LIMITS(LIMIT)
#undef LIMIT
    };
}

/* Fixed by formats and algorithms. */
#define ROWS_MAX ((int64_t)1 << 40)
#define COLUMNS_MAX ((int64_t)65536)
#define CLUSTERS_MAX ((int64_t)1 << 20)
#define ITERATIONS_MAX ((int64_t)1000000)
#define N_INIT_MAX ((int64_t)10000)
#define PROBLEMS_MAX ((int64_t)1 << 31)
#define BATCH_PROBLEMS_MAX 65536
#define NAME_BYTES_MAX 63
#define TAGS_MAX 16
#define STRING_BYTES_MAX 4096
#define MESSAGE_BYTES_MAX (4 << 20)
#define INLINE_BYTES_MAX (3 << 20)
#define METADATA_BYTES_MAX (16 << 10)
#define CHUNK_BYTES_MIN (64 << 10)
#define CHUNK_BYTES_MAX (3 << 20)
#define CHUNK_BYTES_DEFAULT (1 << 20)
#define PAGE_SIZE_MAX 1000
#define ERROR_TEXT_BYTES_MAX 1024

#endif
