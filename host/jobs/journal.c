#include "host/jobs/journal.h"

static enum status nothing(void *context, const struct journal_entry *entry, struct error *error)
{
    (void)context;
    (void)entry;
    (void)error;
    return STATUS_OK;
}

struct journal journal_none(void)
{
    return (struct journal){.enter = nothing};
}
