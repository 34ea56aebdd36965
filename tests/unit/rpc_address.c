/* rpc_address.c - where a server listens, where it will not, and whose socket it takes. */
#include <sys/socket.h>
#include <sys/stat.h>

#include "rpc/listener.h"
#include "tests/check.h"

static void only_loopback_and_unix_sockets_are_addresses(struct check *check)
{
    static const char *const good[] = {"127.0.0.1:7433", "127.9.9.9:0", "localhost:1",
                                       "[::1]:65535",    "unix:/tmp/a", "unix:a",
                                       "unix:///tmp/a"};
    static const char *const bad[] = {"0.0.0.0:0",
                                      "[::]:0",
                                      "192.0.2.1:7433",
                                      "[fe80::1]:1",
                                      "8.8.8.8:53",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:x",
                                      "127.0.0.1:7a",
                                      "example.com:1",
                                      ":7433",
                                      "",
                                      "unix:",
                                      "[127.0.0.1]:1",
                                      "::1:5"};
    struct address address;
    struct error error;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        check_note(check, "%s", good[i]);
        check_equal_i64(check, address_parse(good[i], &address, NULL), STATUS_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check_note(check, "%s", bad[i]);
        check_equal_i64(check, address_parse(bad[i], &address, &error), STATUS_ADDRESS_REFUSED);
        check_equal_text(check, error_value(&error, "address"), bad[i]);
    }
}

static void a_long_path_is_refused(struct check *check)
{
    char text[160] = "unix:/";
    struct address address;

    memset(text + 6, 'a', 106);
    check_equal_i64(check, address_parse(text, &address, NULL), STATUS_OK);
    text[112] = 'a';
    check_equal_i64(check, address_parse(text, &address, NULL), STATUS_ADDRESS_REFUSED);
}

static void a_free_port_is_told(struct check *check)
{
    struct listener listener, second;
    struct error error;

    check_equal_i64(check, listener_open("127.0.0.1:0", 0, &listener, NULL), STATUS_OK);
    check_true(check, strncmp(listener.text, "127.0.0.1:", 10) == 0 &&
                          strcmp(listener.text + 10, "0") != 0);
    check_equal_i64(check, listener_open(listener.text, 1, &second, &error), STATUS_ADDRESS_IN_USE);
    check_equal_text(check, error_value(&error, "address"), listener.text);
    listener_close(&listener);
}

/* A folder of our own for a socket. */
static void folder_new(char folder[64], char address[96])
{
    snprintf(folder, 64, "/tmp/bary-unit-XXXXXX");
    if (!mkdtemp(folder))
        abort();
    snprintf(address, 96, "unix:%s/in/baryd.sock", folder);
}

static void folder_drop(const char *folder)
{
    char path[96];

    snprintf(path, sizeof path, "%s/in", folder);
    rmdir(path);
    check_true((&(struct check){0}), rmdir(folder) == 0);
}

static void a_unix_socket_is_for_its_owner_and_goes_with_it(struct check *check)
{
    char folder[64], address[96], place[96];
    struct listener listener;
    struct stat stats;

    folder_new(folder, address);
    check_equal_i64(check, listener_open(address, 0, &listener, NULL), STATUS_OK);
    check_true(check, stat(address + 5, &stats) == 0);
    check_equal_i64(check, stats.st_mode & 0777, 0600);
    snprintf(place, sizeof place, "%s/in", folder);
    check_true(check, stat(place, &stats) == 0);
    check_equal_i64(check, stats.st_mode & 0777, 0700);
    listener_close(&listener);
    listener_close(&listener);
    check_true(check, stat(address + 5, &stats) != 0);
    folder_drop(folder);
    check_true(check, stat(folder, &stats) != 0); /* no lock was left behind */
}

static void a_live_socket_is_not_stolen_and_a_dead_one_is(struct check *check)
{
    char folder[64], address[96];
    struct listener first, second;
    struct error error;

    folder_new(folder, address);
    check_equal_i64(check, listener_open(address, 0, &first, NULL), STATUS_OK);
    check_equal_i64(check, listener_open(address, 0, &second, &error), STATUS_ADDRESS_IN_USE);
    check_equal_text(check, error_value(&error, "why"), "another server listens there");
    close(first.fd); /* as a kill leaves it: the name is there, the lock is free */
    close(first.lock_fd);
    check_equal_i64(check, listener_open(address, 0, &second, NULL), STATUS_OK);
    listener_close(&second);
    folder_drop(folder);
}

static void a_file_is_not_taken_for_a_socket(struct check *check)
{
    char folder[64], address[96];
    struct listener listener;
    struct error error;

    folder_new(folder, address);
    snprintf(address, sizeof address, "unix:%s/in", folder);
    FILE *file = fopen(address + 5, "w");
    fputs("precious", file);
    fclose(file);
    check_equal_i64(check, listener_open(address, 0, &listener, &error), STATUS_ADDRESS_IN_USE);
    check_equal_text(check, error_value(&error, "why"),
                     "a file of that name exists and is no socket");
    check_true(check, access(address + 5, F_OK) == 0);
    unlink(address + 5);
    folder_drop(folder);
}

static void a_folder_that_others_can_write_to_is_refused(struct check *check)
{
    char folder[64], address[96];
    struct listener listener;

    folder_new(folder, address);
    snprintf(address, sizeof address, "unix:%s/s", folder);
    chmod(folder, 0777);
    check_equal_i64(check, listener_open(address, 0, &listener, NULL), STATUS_ADDRESS_REFUSED);
    chmod(folder, 0700);
    folder_drop(folder);
}

CHECKS(CLAIM(only_loopback_and_unix_sockets_are_addresses), CLAIM(a_long_path_is_refused),
       CLAIM(a_free_port_is_told), CLAIM(a_unix_socket_is_for_its_owner_and_goes_with_it),
       CLAIM(a_live_socket_is_not_stolen_and_a_dead_one_is),
       CLAIM(a_file_is_not_taken_for_a_socket), CLAIM(a_folder_that_others_can_write_to_is_refused))
