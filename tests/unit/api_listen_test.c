#include "api/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/head.h"
#include "tests/unit/unit.h"

#define NAME_SIZE 17
#define TRIES 20 /* of which one at least has no interruption in its handshake */

static void congestion_of(int fd, char name[NAME_SIZE]) {
    socklen_t size = NAME_SIZE - 1;
    memset(name, 0, NAME_SIZE);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size), 0);
}

static void address_of(const char *text, struct address *ret_address) {
    struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6 };
    struct sockaddr_in ipv4 = { .sin_family = AF_INET };
    if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1) {
        address_from_socket(ret_address, (const struct sockaddr *)&ipv4);
        return;
    }
    assert_int_equal(inet_pton(AF_INET6, text, &ipv6.sin6_addr), 1);
    address_from_socket(ret_address, (const struct sockaddr *)&ipv6);
}

/* A real connection over loopback, of which only the address is another. Gives the congestion control before and after it is said to be accepted. */
static void accept_from(const char *text, char before[NAME_SIZE], char after[NAME_SIZE]) {
    struct sockaddr_in listening = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof listening;
    struct address address;
    address_of(text, &address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&listening, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&listening, &size), 0);
    assert_int_equal(connect(client, (const struct sockaddr *)&listening, size), 0);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    congestion_of(fd, before);
    listen_accepted(fd, &address);
    congestion_of(fd, after);
    close(fd);
    close(client);
    close(listener);
}

static void from_this_machine_nothing_is_paced(void **state) {
    static const char *const addresses[] = { "127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1" };
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        char before[NAME_SIZE], after[NAME_SIZE] = "";
        for (int try = 0; try < TRIES && strcmp(after, "reno") != 0; try++)
            accept_from(addresses[i], before, after);
        assert_string_equal(after, "reno");
    }
}

static void others_keep_the_systems_congestion_control(void **state) {
    static const char *const addresses[] = { "192.0.2.1", "128.0.0.1", "2001:db8::1", "::127.0.0.1", "::ffff:192.0.2.127", "::" };
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        char before[NAME_SIZE], after[NAME_SIZE];
        accept_from(addresses[i], before, after);
        assert_string_equal(after, before);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_this_machine_nothing_is_paced),
        cmocka_unit_test(others_keep_the_systems_congestion_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
