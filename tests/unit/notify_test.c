#include "cli/notify.h"
#include "tests/unit/unit.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A service manager's socket. The kernel chooses its abstract name, which is what NOTIFY_SOCKET then says. */
static int manager;

static int begin_manager(void **state) {
    (void)state;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t size = sizeof(address.sun_family);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (manager < 0 || bind(manager, (const struct sockaddr *)&address, size) < 0)
        return -1;
    size = sizeof(address);
    if (getsockname(manager, (struct sockaddr *)&address, &size) < 0)
        return -1;
    char name[sizeof(address.sun_path) + 1] = { 0 };
    memcpy(name, address.sun_path, size - offsetof(struct sockaddr_un, sun_path));
    name[0] = '@';
    return setenv("NOTIFY_SOCKET", name, 1);
}

static int end_manager(void **state) {
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    return close(manager);
}

static void assert_told(const char *expected) {
    char told[64] = { 0 };
    assert_int_equal(recv(manager, told, sizeof(told) - 1, 0), strlen(expected));
    assert_string_equal(told, expected);
}

static void the_manager_is_told_of_the_start_and_the_end(void **state) {
    (void)state;
    notify_ready();
    assert_told("READY=1");
    notify_stopping();
    assert_told("STOPPING=1");
}

static void without_a_manager_nothing_is_told(void **state) {
    (void)state;
    static const char *const names[] = { "", "relative", "/does/not/exist",
                                         "/a/name/that/is/longer/than/any/socket/may/have/"
                                         "0123456789012345678901234567890123456789012345678901234567890123456789" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_ready();
    }
    unsetenv("NOTIFY_SOCKET");
    notify_ready();
    char told[64];
    assert_int_equal(recv(manager, told, sizeof(told), 0), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_manager_is_told_of_the_start_and_the_end, begin_manager, end_manager),
        cmocka_unit_test_setup_teardown(without_a_manager_nothing_is_told, begin_manager, end_manager),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
