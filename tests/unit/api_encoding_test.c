#include "api/encoding.h"
#include "tests/unit/unit.h"

static void gzip_is_taken_where_it_is_named(void **state) {
    (void)state;
    static const char *const TAKEN[] = {
        "gzip", "GZIP", "x-gzip", "br, gzip", "br,gzip;q=0.5", "gzip ; q=1", "*", "*;q=0.1", "deflate;q=0, gzip;Q=0.001", " , gzip"
    };
    for (size_t i = 0; i < COUNT_OF(TAKEN); i++)
        assert_true(encoding_takes_gzip(TAKEN[i]));
}

static void gzip_is_not_taken_elsewhere(void **state) {
    (void)state;
    static const char *const REFUSED[] = { "",      "identity",        "br",          "gzipped", "gzi",   "gzip;q=0", "gzip; q=0.000",
                                           "*;q=0", "gzip;q=0, *;q=1", "*, gzip;q=0", ",;,",     "x gzip" };
    assert_false(encoding_takes_gzip(NULL));
    for (size_t i = 0; i < COUNT_OF(REFUSED); i++)
        assert_false(encoding_takes_gzip(REFUSED[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_is_taken_where_it_is_named),
        cmocka_unit_test(gzip_is_not_taken_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
