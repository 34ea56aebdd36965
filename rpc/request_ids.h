/* request_ids.h - which dataset a request id made, so that Create may be repeated.
 *
 * Kept for the time and up to the number that jobs are (limits finished_job_s, finished_jobs); a
 * restart forgets them, as it does the datasets. */
#ifndef BARY_RPC_REQUEST_IDS_H
#define BARY_RPC_REQUEST_IDS_H

#include "host/base/error.h"
#include "proto/limits.h"

struct request_ids;
struct request_ids *request_ids_new(void); /* NULL: no memory */
void request_ids_free(struct request_ids **ids);

/* From begin to end no other Create with an id runs, so that two copies of one request make one dataset.
 * *found: the name it made before, "" if none. REQUEST_ID_REUSED: before with another body; then there
 * is nothing to end. */
enum status request_ids_begin(struct request_ids *ids, const struct limits *limits, const char *id,
                              const uint8_t hash[32], int64_t now_ns, char found[64],
                              struct error *error);
/* `made`: the dataset's name, NULL: it failed. Without memory the id is not remembered. */
void request_ids_end(struct request_ids *ids, const char *id, const uint8_t hash[32],
                     int64_t now_ns, const char *made);

#endif
