/* log.h - one JSON object a line on stderr.
 *
 * A client's mistake is INFO, ours is ERROR. No secret and no row's value is ever logged. Lines of
 * several threads never mix. The level may be changed at any time by any thread. */
#ifndef BARY_HOST_BASE_LOG_H
#define BARY_HOST_BASE_LOG_H

#include "host/base/error.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_SILENT };

void log_set_level(enum log_level level);
int log_level_named(const char *name, enum log_level *out); /* 0: no such level */

/* {"ts":...,"level":"info","event":"job_done","job":"...","rows":17} */
void log_fields(enum log_level level, const char *event, const struct field *fields, size_t count);

#define LOG(level, event, ...)                                        \
    log_fields((level), (event), (const struct field[]){__VA_ARGS__}, \
               sizeof((const struct field[]){__VA_ARGS__}) / sizeof(struct field))

#endif
