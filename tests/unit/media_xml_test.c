#include "media/xml.h"
#include "tests/unit/unit.h"

static int set_up(void **state) {
    static struct arena arena;
    arena_init(&arena, 1 << 20);
    *state = &arena;
    return 0;
}

static int tear_down(void **state) {
    arena_release(*state);
    return 0;
}

static const struct xml *read_ok(void **state, const char *text) {
    const struct xml *root = NULL;
    assert_int_equal(xml_read(text, strlen(text), *state, &root), OK);
    assert_non_null(root);
    return root;
}

static void elements_are_found_by_name_in_their_order(void **state) {
    const struct xml *root = read_ok(state, "<?xml version='1.0' encoding='UTF-8'?>\n"
                                            "<List xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>\n"
                                            "  <More>true</More>\n"
                                            "  <Item><Key>one</Key><Size>1</Size></Item>\n"
                                            "  <Other/>\n"
                                            "  <Item><Key>two</Key></Item>\n"
                                            "</List>");
    assert_string_equal(root->name, "List");
    assert_string_equal(root->text, "");
    assert_string_equal(xml_text(root, "More"), "true");
    assert_string_equal(xml_text(root, "Other"), "");
    assert_string_equal(xml_text(root, "Missing"), "");
    assert_null(xml_child(root, "Missing"));
    assert_null(xml_child(NULL, "Item"));

    const struct xml *item = xml_child(root, "Item");
    assert_string_equal(xml_text(item, "Key"), "one");
    assert_string_equal(xml_text(item, "Size"), "1");
    item = xml_next(item);
    assert_string_equal(xml_text(item, "Key"), "two");
    assert_string_equal(xml_text(item, "Size"), "");
    assert_null(xml_next(item));
}

static void text_is_decoded_and_kept_whole(void **state) {
    const struct xml *root = read_ok(state, "<a><b>&lt;&amp;&gt;&quot;&apos;&#x20AC;</b><c><![CDATA[a<b]]>&amp;c</c><d> x </d></a>");
    assert_string_equal(xml_text(root, "b"), "<&>\"'\xe2\x82\xac");
    assert_string_equal(xml_text(root, "c"), "a<b&c");
    assert_string_equal(xml_text(root, "d"), " x ");
}

static void prefixes_and_comments_do_not_matter(void **state) {
    const struct xml *root = read_ok(state, "<s3:a xmlns:s3='x'><!-- no --><s3:b>1<!-- no -->2</s3:b></s3:a>");
    assert_string_equal(root->name, "a");
    assert_string_equal(xml_text(root, "b"), "12");
}

static void what_is_not_well_formed_is_refused(void **state) {
    static const char *const documents[] = {
        "", " ", "text", "<a>", "<a></b>", "<a/><b/>", "<a>\x01</a>", "<a>\xff</a>", "<a>&unknown;</a>", "<html><br></html>",
    };
    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        const struct xml *root = NULL;
        assert_int_equal(xml_read(documents[i], strlen(documents[i]), *state, &root), ERR_BAD_REQUEST);
        assert_null(root);
    }
}

static void document_types_are_refused_so_nothing_expands(void **state) {
    static const char *const documents[] = {
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a [<!ENTITY b 'bbbb'><!ENTITY c '&b;&b;&b;'>]><a>&c;</a>",
        "<!DOCTYPE a [<!ENTITY file SYSTEM 'file:///etc/passwd'>]><a>&file;</a>",
    };
    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        const struct xml *root = NULL;
        assert_int_equal(xml_read(documents[i], strlen(documents[i]), *state, &root), ERR_BAD_REQUEST);
    }
}

static enum err read_nested(void **state, size_t depth) {
    struct buf {
        char text[8 * XML_DEPTH_MAX];
    } document = { "" };
    for (size_t i = 0; i < depth; i++)
        memcpy(document.text + 3 * i, "<a>", 3);
    for (size_t i = 0; i < depth; i++)
        memcpy(document.text + 3 * depth + 4 * i, "</a>", 4);
    const struct xml *root;
    return xml_read(document.text, 7 * depth, *state, &root);
}

static void depth_is_limited(void **state) {
    assert_int_equal(read_nested(state, XML_DEPTH_MAX), OK);
    assert_int_equal(read_nested(state, XML_DEPTH_MAX + 1), ERR_BAD_REQUEST);
}

static void a_full_arena_is_an_error(void **state) {
    (void)state;
    const char document[] = "<a><b>some text</b><b>some text</b><b>some text</b></a>";
    const struct xml *root;
    for (size_t cap = 0; cap < 400; cap += 16) {
        struct arena arena = ARENA_INIT(cap);
        enum err err = xml_read(document, strlen(document), &arena, &root);
        assert_true(err == ERR_NO_MEMORY || err == OK);
        arena_release(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(elements_are_found_by_name_in_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_is_decoded_and_kept_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(prefixes_and_comments_do_not_matter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_well_formed_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(document_types_are_refused_so_nothing_expands, set_up, tear_down),
        cmocka_unit_test_setup_teardown(depth_is_limited, set_up, tear_down),
        cmocka_unit_test(a_full_arena_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
