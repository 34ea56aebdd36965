#include "host/base/fault.h"

#ifdef BARY_FAULTS

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RULES_MAX = 16, POINT_BYTES = 32, SPEC_BYTES = 1024 };
enum action { ACTION_FAIL, ACTION_KILL, ACTION_SLEEP };
static const char *const ACTION_NAMES[] = {"fail", "kill", "sleep"};

struct rule {
    char point[POINT_BYTES];
    long nth, passed;
    bool onward; /* "3+": the third passage and all after it */
    enum action action;
};

/* The lock guards all of this; it is never held together with another. */
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[RULES_MAX];
static int rules_count = -1; /* -1: BARY_FAULT was not read yet */

/* One "point:nth:action". */
static bool rule_parse(char *text, struct rule *out)
{
    char *save = NULL, *end = NULL;
    char *point = strtok_r(text, ":", &save), *nth = strtok_r(NULL, ":", &save);
    char *action = strtok_r(NULL, ":", &save);

    *out = (struct rule){.nth = 0};
    if (!point || !nth || !action || strlen(point) >= POINT_BYTES)
        return false;
    memcpy(out->point, point, strlen(point) + 1);
    out->nth = strtol(nth, &end, 10);
    out->onward = *end == '+';
    if (out->nth < 1 || end[out->onward] != 0)
        return false;
    for (int i = ACTION_FAIL; i <= ACTION_SLEEP; i++) {
        out->action = (enum action)i;
        if (strcmp(action, ACTION_NAMES[i]) == 0)
            return true;
    }
    return false;
}

/* A trial whose faults are misspelt would pass without having tried anything: it ends here. */
static void rules_read(const char *spec)
{
    char text[SPEC_BYTES];
    char *save = NULL;

    rules_count = 0;
    if (!spec)
        return;
    snprintf(text, sizeof text, "%s", spec);
    for (char *one = strtok_r(text, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
        if (rules_count == RULES_MAX || !rule_parse(one, &rules[rules_count])) {
            fprintf(stderr, "BARY_FAULT is '%s'; it must be point:nth:fail|kill|sleep,...\n", spec);
            abort();
        }
        rules_count++;
    }
}

static bool rule_hits(struct rule *rule, const char *point)
{
    if (strcmp(rule->point, point) != 0)
        return false;
    rule->passed++;
    return rule->passed == rule->nth || (rule->onward && rule->passed > rule->nth);
}

int fault_here(const char *point)
{
    int fails = 0, sleeps = 0;

    pthread_mutex_lock(&fault_lock);
    if (rules_count < 0)
        rules_read(getenv("BARY_FAULT"));
    for (int i = 0; i < rules_count; i++) {
        if (!rule_hits(&rules[i], point))
            continue;
        if (rules[i].action == ACTION_KILL)
            raise(SIGKILL);
        fails |= rules[i].action == ACTION_FAIL;
        sleeps |= rules[i].action == ACTION_SLEEP;
    }
    pthread_mutex_unlock(&fault_lock);
    if (sleeps)
        nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
    return fails;
}

void fault_set(const char *spec)
{
    pthread_mutex_lock(&fault_lock);
    rules_read(spec);
    pthread_mutex_unlock(&fault_lock);
}

#else
/* ISO C wants a file to declare something. */
extern int fault_is_compiled_out;
#endif
