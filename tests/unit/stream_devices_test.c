#include "stream/devices.h"
#include "tests/unit/unit.h"

static void a_device_is_there_as_long_as_one_of_its_streams(void **state) {
    (void)state;
    struct devices devices;
    devices_init(&devices);
    assert_false(devices_has(&devices, 7));
    devices_leave(&devices, 7);
    assert_int_equal(devices_enter(&devices, 7), OK);
    assert_int_equal(devices_enter(&devices, 7), OK);
    devices_leave(&devices, 7);
    assert_true(devices_has(&devices, 7));
    devices_leave(&devices, 7);
    assert_false(devices_has(&devices, 7));
    assert_int_equal(devices_enter(&devices, 0), ERR_INTERNAL);
    assert_false(devices_has(&devices, 0));
    devices_release(&devices);
}

/* Against plain counters: few devices with many streams, and ids of every pattern. */
static void many_devices_come_and_go(void **state) {
    (void)state;
    struct devices devices;
    unsigned counts[500] = { 0 };
    devices_init(&devices);
    for (int round = 0; round < 20000; round++) {
        size_t which = (size_t)rand() % 500;
        uint64_t id = which < 100 ? which + 1 : which << (which % 40);
        if (rand() % 2 == 0) {
            assert_int_equal(devices_enter(&devices, id), OK);
            counts[which]++;
        } else if (counts[which] > 0) {
            devices_leave(&devices, id);
            counts[which]--;
        }
    }
    for (size_t which = 0; which < 500; which++) {
        uint64_t id = which < 100 ? which + 1 : which << (which % 40);
        bool is_there = false;
        for (size_t other = 0; other < 500; other++)
            is_there = is_there || (counts[other] > 0 && (other < 100 ? other + 1 : other << (other % 40)) == id);
        assert_int_equal(devices_has(&devices, id), is_there);
    }
    devices_release(&devices);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_is_there_as_long_as_one_of_its_streams),
        cmocka_unit_test(many_devices_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
