/* Runs the storage's contract against the storage that the settings name (PARLEY_*): an S3 service, or a folder.
 *
 * With STORAGE_STOP and STORAGE_START, two shell commands that stop and start the service, its absence is tried as well. Everything is done below a
 * prefix of its own for each test; buckets are set up first. */
#include "tests/storage/contract.h"

static void print_step(void *context, const char *step, enum err err, const char *detail) {
    (void)context;
    printf("setup: %s: %s: %s\n", step, err_name(err), detail);
}

static void the_storage_can_be_set_up_repeatedly(void **state) {
    struct world *world = *state;
    for (int times = 0; times < 2; times++)
        if (storage_setup(world->storage, print_step, NULL) != OK)
            fail_msg("setup: %s", storage_problem());
}

static bool is_local(void) {
    const char *endpoint = getenv("PARLEY_S3_ENDPOINT");
    return endpoint == NULL || *endpoint == '\0';
}

int main(void) {
    const struct CMUnitTest setting_up[] = {
        cmocka_unit_test_setup_teardown(the_storage_can_be_set_up_repeatedly, world_set_up, world_tear_down),
    };
    setvbuf(stdout, NULL, _IOLBF, 0);
    int failed = cmocka_run_group_tests(setting_up, NULL, NULL);
    if (failed == 0)
        failed = run_contract();
    if (failed == 0 && !is_local())
        failed = run_s3() + run_unreachable();
    return failed == 0 ? 0 : 1;
}
