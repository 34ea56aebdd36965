#include "host/base/fault.h"

#include <signal.h>
#include <sys/wait.h>

#include "host/base/clock.h"
#include "tests/check.h"

#ifdef BARY_FAULTS

static void only_the_nth_passage_of_the_point_fails(struct check *check)
{
    fault_set("a:2:fail,b:1:fail");
    check_equal_i64(check, fault_here("a"), 0);
    check_equal_i64(check, fault_here("other"), 0);
    check_equal_i64(check, fault_here("a"), 1);
    check_equal_i64(check, fault_here("a"), 0);
    check_equal_i64(check, fault_here("b"), 1);
    fault_set(NULL);
    check_equal_i64(check, fault_here("b"), 0);
}

static void a_plus_makes_all_later_passages_fail_too(struct check *check)
{
    fault_set("a:2+:fail");
    check_equal_i64(check, fault_here("a"), 0);
    for (int i = 0; i < 5; i++)
        check_equal_i64(check, fault_here("a"), 1);
    fault_set(NULL);
}

static int status_of_child(const char *spec, bool from_environment)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        fclose(stderr);
        if (from_environment)
            setenv("BARY_FAULT", spec, 1);
        else
            fault_set(spec);
        _exit(fault_here("a") + 10);
    }
    waitpid(child, &status, 0);
    return status;
}

static void kill_ends_the_process_at_once(struct check *check)
{
    int status = status_of_child("a:1:kill", false);

    check_true(check, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* First of all claims: the environment is read once. */
static void the_environment_is_read_at_the_first_passage(struct check *check)
{
    int status = status_of_child("a:1:fail", true);

    check_true(check, WIFEXITED(status) && WEXITSTATUS(status) == 11);
}

static void a_misspelt_fault_aborts(struct check *check)
{
    static const char *const specs[] = {"a",        "a:1",      "a:0:fail",
                                        "a:x:fail", "a:1:burn", "a:1x:fail"};

    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        int status = status_of_child(specs[i], false);
        check_note(check, "%s", specs[i]);
        check_true(check, WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

static void sleep_delays_and_goes_on(struct check *check)
{
    int64_t start = clock_ns();

    fault_set("a:1:sleep");
    check_equal_i64(check, fault_here("a"), 0);
    check_true(check, clock_ns() - start >= 1900000000);
    fault_set(NULL);
}

CHECKS(CLAIM(the_environment_is_read_at_the_first_passage),
       CLAIM(only_the_nth_passage_of_the_point_fails),
       CLAIM(a_plus_makes_all_later_passages_fail_too), CLAIM(kill_ends_the_process_at_once),
       CLAIM(a_misspelt_fault_aborts), CLAIM(sleep_delays_and_goes_on))

#else

static void points_vanish_from_a_build_without_faults(struct check *check)
{
    setenv("BARY_FAULT", "a:1:fail", 1);
    check_equal_i64(check, fault_here("a"), 0);
}

CHECKS(CLAIM(points_vanish_from_a_build_without_faults))

#endif
