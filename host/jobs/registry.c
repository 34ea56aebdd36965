/* registry.c - jobs by number, by request id and by age. The dispatcher's thread alone.
 *
 * A name is the time of the start and the job's number, "19a3b2c4d5e-00000001": unique across
 * restarts, and its order is that of creation, so a list can go on after a job that is gone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/jobs/live.h"

static struct job **number_bucket(struct dispatcher *dispatcher, uint64_t number)
{
    return &dispatcher->by_number[number % BUCKETS];
}

/* FNV-1a (Fowler, Noll, Vo) over both words. */
static struct job **id_bucket(struct dispatcher *dispatcher, const char *principal,
                              const char *request_id)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (; *principal; principal++)
        hash = (hash ^ (unsigned char)*principal) * 0x100000001b3u;
    for (; *request_id; request_id++)
        hash = (hash ^ (unsigned char)*request_id) * 0x100000001b3u;
    return &dispatcher->by_id[hash % BUCKETS];
}

void registry_add(struct dispatcher *dispatcher, struct job *job)
{
    struct job **bucket;

    job->number = ++dispatcher->numbers;
    snprintf(job->name, sizeof job->name, "%s-%08llx", dispatcher->prefix,
             (unsigned long long)job->number);
    bucket = number_bucket(dispatcher, job->number);
    job->number_next = *bucket;
    *bucket = job;
    if (job->request_id[0]) {
        bucket = id_bucket(dispatcher, job->principal, job->request_id);
        job->id_next = *bucket;
        *bucket = job;
        job->has_id = true;
    }
    job->all_next = dispatcher->all;
    if (dispatcher->all)
        dispatcher->all->all_before = job;
    dispatcher->all = job;
    job->registered = true;
}

void registry_remove(struct dispatcher *dispatcher, struct job *job)
{
    struct job **link;

    if (!job->registered)
        return;
    for (link = number_bucket(dispatcher, job->number); *link != job;)
        link = &(*link)->number_next;
    *link = job->number_next;
    if (job->has_id) {
        for (link = id_bucket(dispatcher, job->principal, job->request_id); *link != job;)
            link = &(*link)->id_next;
        *link = job->id_next;
    }
    if (job->all_before)
        job->all_before->all_next = job->all_next;
    else
        dispatcher->all = job->all_next;
    if (job->all_next)
        job->all_next->all_before = job->all_before;
    job->registered = false;
}

uint64_t registry_number(const struct dispatcher *dispatcher, const char *name)
{
    size_t prefix = strlen(dispatcher->prefix);

    if (strncmp(name, dispatcher->prefix, prefix) != 0 || name[prefix] != '-')
        return 0;
    return strtoull(name + prefix + 1, NULL, 16);
}

struct job *registry_find(struct dispatcher *dispatcher, const char *name)
{
    uint64_t number = registry_number(dispatcher, name);
    struct job *job = *number_bucket(dispatcher, number);

    while (job && strcmp(job->name, name) != 0)
        job = job->number_next;
    return job;
}

struct job *registry_request(struct dispatcher *dispatcher, const char *principal,
                             const char *request_id)
{
    struct job *job = *id_bucket(dispatcher, principal, request_id);

    while (job &&
           (strcmp(job->request_id, request_id) != 0 || strcmp(job->principal, principal) != 0))
        job = job->id_next;
    return job;
}
