/* jobs_parts.c - the dispatcher's parts one by one: ledger, timers, messages. */
#include <pthread.h>

#include "host/base/clock.h"
#include "host/jobs/ledger.h"
#include "host/jobs/message.h"
#include "host/jobs/timer.h"
#include "tests/check.h"

static void the_ledger_never_promises_more_than_it_has(struct check *check)
{
    struct ledger *ledger = ledger_new(1000);
    struct error error;

    check_equal_i64(check, ledger_reserve(ledger, "a", 600, NULL), STATUS_OK);
    check_equal_i64(check, ledger_reserve(ledger, "b", 401, &error), STATUS_MEMORY_PRESSURE);
    check_equal_text(check, error_value(&error, "free"), "400");
    check_equal_text(check, error_value(&error, "needed"), "401");
    check_equal_i64(check, ledger_reserve(ledger, "c", 1001, &error), STATUS_EXCEEDS_CAPACITY);
    check_equal_text(check, error_value(&error, "offered"), "1000");
    check_equal_i64(check, ledger_reserve_below(ledger, "d", 301, 900, NULL),
                    STATUS_MEMORY_PRESSURE);
    check_equal_i64(check, ledger_reserve_below(ledger, "d", 300, 900, NULL), STATUS_OK);
    check_equal_i64(check, ledger_reserve(ledger, "e", 100, NULL), STATUS_OK);
    check_equal_i64(check, ledger_reserved(ledger), 1000);
    ledger_return(ledger, 1000);
    check_equal_i64(check, ledger_reserved(ledger), 0);
    ledger_free(&ledger);
    check_true(check, ledger == NULL);
}

static void a_need_is_taken_whole_or_not_at_all(struct check *check)
{
    struct ledger *ledger = ledger_new(1000);
    struct need need = {.bytes = 400, .device = 1, .device_bytes = 50, .pinned_bytes = 20};
    struct need more = need;
    struct device_bytes device;
    struct error error;

    check_equal_i64(check, ledger_take(ledger, "a", &need, &error), STATUS_EXCEEDS_CAPACITY);
    check_equal_text(check, error_value(&error, "offered"), "0"); /* no device was offered yet */
    ledger_offer(ledger, 1, 80, 30);
    check_equal_i64(check, ledger_take(ledger, "a", &need, NULL), STATUS_OK);
    check_equal_i64(check, ledger_take(ledger, "b", &more, &error), STATUS_MEMORY_PRESSURE);
    check_equal_text(check, error_value(&error, "free"), "30");
    more.device_bytes = 30;
    check_equal_i64(check, ledger_take(ledger, "b", &more, &error), STATUS_MEMORY_PRESSURE);
    check_equal_text(check, error_value(&error, "needed"), "20"); /* the pinned ones */
    check_equal_text(check, error_value(&error, "free"), "10");
    more.pinned_bytes = 31;
    check_equal_i64(check, ledger_take(ledger, "b", &more, &error), STATUS_EXCEEDS_CAPACITY);
    more.pinned_bytes = 10;
    more.bytes = 601;
    check_equal_i64(check, ledger_take(ledger, "b", &more, &error), STATUS_MEMORY_PRESSURE);
    check_equal_text(check, error_value(&error, "needed"), "601"); /* and now the host's */
    ledger_device(ledger, 1, &device);
    check_equal_i64(check, device.reserved, 50);
    check_equal_i64(check, device.pinned_reserved, 20);
    check_equal_i64(check, ledger_reserved(ledger), 400);
    more.bytes = 600;
    check_equal_i64(check, ledger_take(ledger, "b", &more, NULL), STATUS_OK);
    ledger_give_back(ledger, &need);
    ledger_give_back(ledger, &more);
    ledger_give_back(ledger, &more); /* it was zeroed: harmless */
    ledger_device(ledger, 1, &device);
    check_equal_i64(check, device.reserved + device.pinned_reserved + ledger_reserved(ledger), 0);
    ledger_free(&ledger);
}

enum { TIMERS = 500 };

/* Against the plain way: the least of an array. */
static void timers_come_in_order_whatever_was_cleared(struct check *check)
{
    static struct timer timer[TIMERS];
    uint64_t state = 7;

    for (int trial = 0; trial < 50; trial++) {
        struct timers timers = {0};
        int64_t at[TIMERS], before = INT64_MIN;
        int left = 0;
        memset(timer, 0, sizeof timer);
        for (int i = 0; i < TIMERS * 3; i++) {
            int t = (int)(check_random(&state) % TIMERS);
            if (check_random(&state) % 3 == 0) {
                timer_clear(&timers, &timer[t]);
            } else {
                at[t] = (int64_t)(check_random(&state) % 1000);
                timer_set(&timers, &timer[t], at[t]);
            }
        }
        for (int t = 0; t < TIMERS; t++)
            left += timer[t].set;
        while (timers_next(&timers) != INT64_MAX) {
            int64_t next = timers_next(&timers);
            check_true(check, timer_due(&timers, next - 1) == NULL);
            struct timer *due = timer_due(&timers, next);
            check_equal_i64(check, at[due - timer], next);
            check_true(check, next >= before);
            before = next;
            left--;
        }
        check_equal_i64(check, left, 0);
    }
}

static void messages_keep_their_order_and_their_limit(struct check *check)
{
    static struct message message[MESSAGES_MAX + 2];
    struct messages messages;

    messages_init(&messages);
    for (int i = 0; i < MESSAGES_MAX; i++)
        check_true(check, message_post(&messages, &message[i]));
    check_true(check, !message_post(&messages, &message[MESSAGES_MAX]));
    message_push(&messages, &message[MESSAGES_MAX + 1]); /* one of our own always fits */
    message_push(&messages, &message[MESSAGES_MAX + 1]); /* and is there once */
    for (int i = 0; i < MESSAGES_MAX; i++)
        check_true(check, message_take(&messages, INT64_MAX / 2) == &message[i]);
    check_true(check, message_take(&messages, INT64_MAX / 2) == &message[MESSAGES_MAX + 1]);
    int64_t begun = clock_ns();
    check_true(check, message_take(&messages, begun + 10000000) == NULL);
    check_true(check, clock_ns() - begun >= 10000000);
    messages_deinit(&messages);
}

CHECKS(CLAIM(the_ledger_never_promises_more_than_it_has),
       CLAIM(a_need_is_taken_whole_or_not_at_all), CLAIM(timers_come_in_order_whatever_was_cleared),
       CLAIM(messages_keep_their_order_and_their_limit))
