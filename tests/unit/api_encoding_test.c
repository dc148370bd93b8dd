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

static void the_same_is_packed_the_same_and_smaller(void **state) {
    (void)state;
    struct buf text = BUF_INIT, first = BUF_INIT, second = BUF_INIT;
    for (unsigned i = 0; i < 200; i++)
        buf_printf(&text, "{\"id\":\"%u\",\"text\":\"hello\"},", i);
    assert_int_equal(encoding_pack(text.bytes, text.size, &first), OK);
    assert_int_equal(encoding_pack(text.bytes, text.size, &second), OK);
    assert_int_equal(first.size, second.size);
    assert_memory_equal(first.bytes, second.bytes, first.size);
    assert_memory_equal(first.bytes, "\x1f\x8b\x08", 3);
    assert_in_range(first.size, 20, text.size / 3);
    buf_release(&text);
    buf_release(&first);
    buf_release(&second);
}

static void what_cannot_be_packed_fits_all_the_same(void **state) {
    (void)state;
    char noise[5000];
    uint32_t bits = 1;
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (char)((bits = bits * 1664525 + 1013904223) >> 24);
    for (size_t size = 0; size <= sizeof(noise); size += 1250) {
        struct buf packed = BUF_INIT;
        assert_int_equal(encoding_pack(noise, size, &packed), OK);
        assert_in_range(packed.size, size, size + 64);
        buf_release(&packed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_is_taken_where_it_is_named),
        cmocka_unit_test(gzip_is_not_taken_elsewhere),
        cmocka_unit_test(the_same_is_packed_the_same_and_smaller),
        cmocka_unit_test(what_cannot_be_packed_fits_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
