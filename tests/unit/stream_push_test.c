#include "stream/push.h"
#include "tests/unit/stream_frames.h"

#define STREAMS 4

/* A tick with so many frames for each of so many streams; whether it gathers. Then it is written. */
static bool tick(struct push *push, size_t stream_count, size_t frames_each) {
    static struct stream streams[STREAMS];
    struct frame *frame = message_frame(&(struct message_event){ EVENT_MESSAGE_CREATED, 1, 5, 0, "hello" });
    struct frame *taken[2];
    size_t written = 0, count;
    for (size_t i = 0; i < frames_each * stream_count; i++)
        assert_true(push_add(push, &streams[i % stream_count], frame));
    bool gathers = push_gathers(push);
    for (struct stream *stream; (stream = push_next(push)) != NULL;)
        while ((count = push_take(push, stream, taken, COUNT_OF(taken))) > 0)
            written += count;
    assert_int_equal(written, frames_each * stream_count);
    frame_drop(frame);
    return gathers;
}

static void few_frames_a_write_gather(void **state) {
    struct push push = { 0 };
    (void)state;
    assert_false(push_gathers(&push));
    assert_false(tick(&push, STREAMS, 1));
    assert_true(tick(&push, STREAMS, 2));
    assert_true(tick(&push, 1, 8));
    assert_false(tick(&push, 1, 9));
    assert_false(tick(&push, STREAMS, 40));
    assert_false(push_gathers(&push));
    push_release(&push);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_frames_a_write_gather),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
