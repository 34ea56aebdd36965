/* main.c - baryd: options, signals, and a server in between.
 *
 * SIGTERM or SIGINT drains and ends with 0; a second one skips the waiting; SIGHUP reads the
 * configuration anew. Exit codes: 0 done, 2 bad usage, 69 no device, 70 our bug, 74 disk, 78 bad
 * configuration or address. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/base/log.h"
#include "host/base/machine.h"
#include "rpc/daemon.h"
#include "rpc/side_port.h"
#include "rpc/supervise.h"

enum { EXIT_USAGE = 2, EXIT_BUG = 70, EXIT_CONFIG = 78, PRIVATE_STEP_MS = 200 };

static int refuse(const struct error *error, int code)
{
    char text[ERROR_TEXT_BYTES_MAX + 1];

    fprintf(stderr, "baryd: %s\n", error_message(error, text, sizeof text));
    return code;
}

/* Every thread inherits the mask, those of gRPC too: signals are taken by main alone. */
static void signals_block(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void process_prepare(void)
{
    struct rlimit files, no_core = {0, 0};

    umask(077);
    setrlimit(RLIMIT_CORE, &no_core);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void reload(struct daemon *daemon, struct config *config, struct config_source *source,
                   const struct config_flags *flags)
{
    char text[ERROR_TEXT_BYTES_MAX + 1];
    struct error error;
    enum status status = config_reload(source, flags, config, &error);

    metric_set(daemon->service.metrics, METRIC_config_reload_success, "", status == STATUS_OK);
    if (status != STATUS_OK) {
        LOG(LOG_WARNING, "reload_refused",
            TEXT("reason", error_message(&error, text, sizeof text)));
        return;
    }
    daemon_reload(daemon);
    LOG(LOG_INFO, "reloaded", TEXT("file", source ? "read" : ""));
}

/* Time to the next look around. */
static struct timespec step_of(const struct config_flags *flags)
{
    int ms = flags->private_ ? PRIVATE_STEP_MS : 1000;

    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
}

/* Until it is time to end. */
static void serve(struct daemon *daemon, struct config *config, struct config_source *source,
                  const struct config_flags *flags, const sigset_t *set, pid_t parent)
{
    const struct timespec step = step_of(flags);
    int watchdog_ms = supervise_watchdog_ms(), signal_number;

    for (;;) {
        signal_number = sigtimedwait(set, NULL, &step);
        if (signal_number == SIGTERM || signal_number == SIGINT)
            return;
        if (signal_number == SIGHUP)
            reload(daemon, config, source, flags);
        if (flags->private_ && (getppid() != parent || supervise_input_closed()))
            return;
        if (watchdog_ms && service_alive(&daemon->service))
            supervise_notify("WATCHDOG=1");
        daemon_tick(daemon);
    }
}

struct ending {
    struct daemon *daemon;
    _Atomic bool done;
};

static void *drain_thread(void *ending_)
{
    struct ending *ending = ending_;

    daemon_drain(ending->daemon);
    atomic_store(&ending->done, true);
    return NULL;
}

/* Drains beside the signals, so that a second SIGTERM is heard. */
static void end(struct daemon *daemon, const struct config_flags *flags, const sigset_t *set)
{
    const struct timespec step = {.tv_nsec = 20000000};
    struct ending ending = {.daemon = daemon};
    pthread_t thread;

    supervise_notify("STOPPING=1");
    LOG(LOG_INFO, "draining", TEXT("hurry", flags->private_ ? "yes" : "no"));
    atomic_store(&daemon->hurry, flags->private_);
    if (pthread_create(&thread, NULL, drain_thread, &ending) != 0) {
        atomic_store(&daemon->hurry, true);
        daemon_drain(daemon);
        return;
    }
    while (!atomic_load(&ending.done)) {
        int signal_number = sigtimedwait(set, NULL, &step);
        if (signal_number == SIGTERM || signal_number == SIGINT)
            atomic_store(&daemon->hurry, true);
    }
    pthread_join(thread, NULL);
}

static int run(struct config *config, struct config_source *source,
               const struct config_flags *flags, const sigset_t *set, pid_t parent)
{
    struct daemon daemon;
    struct error error;
    enum status status;

    log_set_level(config->level);
    status = daemon_start(&daemon, config, &error);
    if (status != STATUS_OK)
        return refuse(&error, daemon_exit_code(status));
    LOG(LOG_INFO, "ready", TEXT("version", BARY_VERSION), INT("threads", daemon.service.threads),
        INT("memory_bytes", daemon.service.memory_budget), TEXT("state", config->state));
    supervise_ready(flags->ready_fd, daemon.server, side_port_address(daemon.side_port));
    supervise_notify("READY=1");
    serve(&daemon, config, source, flags, set, parent);
    end(&daemon, flags, set);
    bool all = daemon_stop(&daemon);
    LOG(LOG_INFO, "ended", INT("code", 0));
    if (!all) {
        /* A thread hangs inside a device's driver, whose exit handlers would wait for it. */
        fflush(NULL);
        _exit(0);
    }
    return 0;
}

static int answer(struct config_source *source, const struct config_flags *flags,
                  const sigset_t *set, pid_t parent)
{
    const char *refusal = machine_refusal();
    struct config config;
    struct error error;

    if (flags->help)
        config_help(stdout);
    else if (flags->version)
        printf("baryd %s\n", BARY_VERSION);
    if (flags->help || flags->version)
        return 0;
    if (config_read(source, flags, &config, &error) != STATUS_OK)
        return refuse(&error, EXIT_CONFIG);
    if (flags->print) {
        config_print(source, stdout);
        return 0;
    }
    if (refusal) {
        fprintf(stderr, "baryd: %s\n", refusal);
        return EXIT_BUG;
    }
    return run(&config, source, flags, set, parent);
}

int main(int argc, char **argv)
{
    pid_t parent = getppid();
    struct config_source *source = NULL;
    struct config_flags flags;
    struct error error;
    sigset_t set;
    bool usage;
    int code;

    machine_wait_quietly(argv);
    signals_block(&set);
    process_prepare();
    if (config_open(argc, argv, environ, &source, &flags, &usage, &error) != STATUS_OK)
        return refuse(&error, usage ? EXIT_USAGE : EXIT_CONFIG);
    if (flags.private_ && !supervise_bind_to_parent(parent)) {
        config_close(&source);
        return 0;
    }
    code = answer(source, &flags, &set, parent);
    config_close(&source);
    return code;
}
