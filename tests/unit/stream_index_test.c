/* The index against a model that knows the whole log: whatever snapshot a listener is installed from, and wherever the hub is, a stream that
 * keeps to the rule of index.h gets its feed and nothing else. */
#include "stream/index.h"
#include "tests/unit/stream_frames.h"

#define USERS 5
#define CHATS 4
#define EVENTS 3000
#define STREAMS 7
#define RING_EVENTS 40 /* how far back the hub can look */

/* The first chat is a channel: who follows it has events of their own, and once it is deleted its stays look open for a while. */
#define CHANNEL 0

/* ---- The model: a random log and the stays that follow from it ---- */

struct model {
    struct frame *log[EVENTS + 1]; /* by position */
    struct stay stays[EVENTS * USERS];
    size_t stay_count;
    bool deleted[CHATS];
    uint64_t channel_end_id; /* 0: it lasts */
};

static uint64_t user_id(unsigned user) { return 100 + user; }
static uint64_t chat_id(unsigned chat) { return 200 + chat; }

static struct stay *open_stay(struct model *model, uint64_t chat, uint64_t user) {
    for (size_t i = 0; i < model->stay_count; i++) {
        struct stay *stay = &model->stays[i];
        if (stay->chat_id == chat && stay->user_id == user && stay->left_id == STAY_OPEN)
            return stay;
    }
    return NULL;
}

static void join(struct model *model, uint64_t chat, uint64_t user, uint64_t id) {
    model->stays[model->stay_count++] = (struct stay){ .chat_id = chat, .user_id = user, .joined_id = id, .left_id = STAY_OPEN };
}

static void leave_all(struct model *model, uint64_t chat, uint64_t id) {
    for (size_t i = 0; i < model->stay_count; i++)
        if (model->stays[i].chat_id == chat && model->stays[i].left_id == STAY_OPEN)
            model->stays[i].left_id = id;
}

static struct frame *create_chat(struct model *model, uint64_t chat, uint64_t position) {
    uint64_t members[USERS];
    size_t count = 0;
    for (unsigned user = 0; user < USERS; user++)
        if (rand() % 2 == 0)
            members[count++] = user_id(user);
    for (size_t i = 0; i < count; i++)
        join(model, chat, members[i], id_at(position));
    struct frame *frame = plain_frame(EVENT_CHAT_CREATED, position, chat, 0);
    assert_true(frame_set_members(frame, members, count));
    return frame;
}

static struct frame *change_membership(struct model *model, uint64_t chat, uint64_t position) {
    uint64_t user = user_id((unsigned)rand() % USERS);
    struct stay *stay = open_stay(model, chat, user);
    bool follows = chat == chat_id(CHANNEL) && (stay == NULL || rand() % 4 != 0); /* else one of those who run it leaves */
    if (stay != NULL) {
        stay->left_id = id_at(position);
        return follows ? plain_frame(EVENT_CHANNEL_LEFT, position, user, chat) : plain_frame(EVENT_MEMBER_REMOVED, position, chat, user);
    }
    join(model, chat, user, id_at(position));
    return follows ? plain_frame(EVENT_CHANNEL_FOLLOWED, position, user, chat) : plain_frame(EVENT_MEMBER_ADDED, position, chat, user);
}

static struct frame *random_event(struct model *model, uint64_t position) {
    unsigned chat = (unsigned)rand() % CHATS;
    if (position <= CHATS)
        return create_chat(model, chat_id((unsigned)position - 1), position);
    if (rand() % 8 == 0 || (chat == CHANNEL && model->deleted[chat]))
        return plain_frame(EVENT_USER_UPDATED, position, user_id((unsigned)rand() % USERS), 0);
    if (position > EVENTS / 2 && chat == CHANNEL && rand() % 50 == 0 && !model->deleted[chat]) {
        model->deleted[chat] = true;
        model->channel_end_id = id_at(position);
        leave_all(model, chat_id(chat), id_at(position));
        return plain_frame(EVENT_CHAT_DELETED, position, chat_id(chat), 0);
    }
    if (rand() % 3 == 0 && !model->deleted[chat])
        return change_membership(model, chat_id(chat), position);
    return plain_frame(EVENT_CHAT_UPDATED, position, chat_id(chat), 0);
}

static bool in_feed(const struct model *model, uint64_t user, const struct frame *frame) {
    if (event_is_user(frame->type))
        return frame->owner_id == user;
    for (size_t i = 0; i < model->stay_count; i++) {
        const struct stay *stay = &model->stays[i];
        if (stay->user_id == user && stay->chat_id == frame->owner_id && stay->joined_id <= frame->id && frame->id <= stay->left_id)
            return true;
    }
    return false;
}

/* What read_stays() says in a snapshot with this head. */
static size_t stays_at(const struct model *model, uint64_t user, uint64_t after_id, uint64_t head_id, struct stay *stays) {
    size_t count = 0;
    for (size_t i = 0; i < model->stay_count; i++) {
        struct stay stay = model->stays[i];
        if (stay.user_id != user || stay.joined_id > head_id)
            continue;
        if (stay.left_id > head_id || (stay.left_id == model->channel_end_id && rand() % 2 == 0))
            stay.left_id = STAY_OPEN;
        if (stay.left_id > after_id)
            stays[count++] = stay;
    }
    return count;
}

/* ---- A hub that is nothing but the index and a position ---- */

struct client {
    struct stream stream; /* state: LIVE, or CLOSED when there is no stream, or WAITING */
    uint64_t user;
    bool got; /* the event being applied */
};

struct world {
    struct model model;
    struct index index;
    struct client clients[STREAMS];
    uint64_t position; /* of the hub */
};

static uint64_t ring_base(const struct world *world) { return world->position > RING_EVENTS ? world->position - RING_EVENTS + 1 : 1; }

static uint64_t random_head(const struct world *world) {
    uint64_t low = world->position > RING_EVENTS / 2 ? world->position - RING_EVENTS / 2 : 0;
    uint64_t head = low + (uint64_t)rand() % (RING_EVENTS);
    return head > EVENTS ? EVENTS : head;
}

static void install(struct world *world, struct client *client, uint64_t head) {
    static struct stay stays[EVENTS];
    struct listener *listener = client->stream.listener;
    struct snapshot_stays snapshot = { stays, 0, id_at(head), 0 };
    snapshot.count = stays_at(&world->model, client->user, log_id(ring_base(world) - 1, 0), id_at(head), stays);
    bool fresh = !listener->installed;
    assert_int_equal(index_install(&world->index, listener, &snapshot), OK);
    for (uint64_t position = head + 1; fresh && position <= world->position; position++)
        index_replay(&world->index, listener, world->model.log[position]);
}

/* A page of the store: exact by definition, up to the snapshot's head. */
static void take_page(struct world *world, struct client *client) {
    uint64_t head = random_head(world);
    install(world, client, head);
    if (id_at(head) > client->stream.position)
        client->stream.position = id_at(head);
}

/* Takes from the ring what is between the stream's position and the hub's, and compares it with the feed. */
static void catch_up(struct world *world, struct client *client) {
    index_mark(&world->index, client->stream.listener);
    for (uint64_t position = log_position(client->stream.position) + 1; position <= world->position; position++) {
        const struct frame *frame = world->model.log[position];
        uint64_t joined_id;
        bool wanted = index_wants(&world->index, client->stream.listener, frame->owner_id, frame->id, &joined_id);
        assert_int_equal(wanted, in_feed(&world->model, client->user, frame));
        client->stream.position = frame->id;
    }
    client->stream.state = STREAM_LIVE;
}

static void advance(struct world *world, struct client *client) {
    const struct listener *listener = client->stream.listener;
    bool in_reach = log_position(client->stream.position) + 1 >= ring_base(world);
    if (listener->installed && client->stream.position >= listener->closed_max && in_reach)
        catch_up(world, client);
    else
        take_page(world, client);
}

static void open_client(struct world *world, struct client *client) {
    memset(&client->stream, 0, sizeof(client->stream));
    client->user = user_id((unsigned)rand() % USERS);
    client->stream.state = STREAM_WAITING;
    client->stream.position = id_at((uint64_t)rand() % (world->position + 1));
    assert_non_null(index_add_stream(&world->index, client->user, &client->stream));
}

static void close_client(struct world *world, struct client *client) {
    index_remove_stream(&world->index, &client->stream);
    client->stream.state = STREAM_CLOSED;
}

static void note_delivery(void *context, struct stream *stream, struct frame *frame) {
    (void)context;
    struct client *client = LIST_ITEM(stream, struct client, stream);
    if (stream->state != STREAM_LIVE || frame->id <= stream->position)
        return;
    assert_false(client->got);
    client->got = true;
}

static void apply_next(struct world *world) {
    struct frame *frame = world->model.log[world->position + 1];
    for (size_t i = 0; i < STREAMS; i++)
        world->clients[i].got = false;
    assert_int_equal(index_apply(&world->index, frame, note_delivery, world), OK);
    world->position++;
    for (size_t i = 0; i < STREAMS; i++) {
        struct client *client = &world->clients[i];
        if (client->stream.state != STREAM_LIVE)
            continue;
        bool expected = frame->id > client->stream.position && in_feed(&world->model, client->user, frame);
        assert_int_equal(client->got, expected);
        /* Some do not take it, and stay behind. */
        if (expected && rand() % 10 == 0)
            client->stream.state = STREAM_WAITING;
        else if (frame->id > client->stream.position)
            client->stream.position = frame->id;
    }
}

static void step(struct world *world) {
    struct client *client = &world->clients[(unsigned)rand() % STREAMS];
    if (client->stream.state == STREAM_CLOSED)
        open_client(world, client);
    else if (rand() % 6 == 0)
        close_client(world, client);
    else if (client->stream.state == STREAM_WAITING)
        advance(world, client);
    if (rand() % 3 == 0)
        apply_next(world);
}

static void make_world(struct world *world) {
    memset(world, 0, sizeof(*world));
    index_init(&world->index);
    for (size_t i = 0; i < STREAMS; i++)
        world->clients[i].stream.state = STREAM_CLOSED;
    for (uint64_t position = 1; position <= EVENTS; position++)
        world->model.log[position] = random_event(&world->model, position);
}

static void end_world(struct world *world) {
    for (size_t i = 0; i < STREAMS; i++)
        if (world->clients[i].stream.state != STREAM_CLOSED)
            close_client(world, &world->clients[i]);
    assert_int_equal(world->index.listener_count, 0);
    assert_int_equal(world->index.chats.count, 0);
    index_release(&world->index);
    for (uint64_t position = 1; position <= EVENTS; position++)
        frame_drop(world->model.log[position]);
}

static void every_stream_gets_its_feed_and_nothing_else(void **state) {
    (void)state;
    static struct world world;
    for (unsigned seed = 1; seed <= 20; seed++) {
        srand(seed);
        make_world(&world);
        while (world.position < EVENTS)
            step(&world);
        end_world(&world);
    }
}

/* ---- Single sentences ---- */

struct recorder {
    size_t count;
    const struct frame *last;
};

static void record(void *context, struct stream *stream, struct frame *frame) {
    (void)stream;
    struct recorder *recorder = context;
    recorder->count++;
    recorder->last = frame;
}

static size_t apply(struct index *index, struct frame *frame) {
    struct recorder recorder = { 0 };
    assert_int_equal(index_apply(index, frame, record, &recorder), OK);
    frame_drop(frame);
    return recorder.count;
}

static void who_leaves_gets_that_as_the_last(void **state) {
    (void)state;
    struct index index;
    struct stream stream = { 0 };
    index_init(&index);
    struct listener *listener = index_add_stream(&index, 1, &stream);
    assert_int_equal(index_install(&index, listener, &(struct snapshot_stays){ NULL, 0, 0, 0 }), OK);
    assert_int_equal(apply(&index, plain_frame(EVENT_CHAT_UPDATED, 1, 9, 0)), 0);
    assert_int_equal(apply(&index, plain_frame(EVENT_MEMBER_ADDED, 2, 9, 1)), 1);
    assert_int_equal(apply(&index, plain_frame(EVENT_MEMBER_ADDED, 3, 9, 2)), 1);
    assert_int_equal(apply(&index, plain_frame(EVENT_MEMBER_REMOVED, 4, 9, 1)), 1);
    assert_int_equal(listener->closed_max, id_at(4));
    assert_int_equal(apply(&index, plain_frame(EVENT_CHAT_UPDATED, 5, 9, 0)), 0);
    assert_int_equal(index.chats.count, 0);
    index_remove_stream(&index, &stream);
    index_release(&index);
}

static void a_device_s_events_go_to_all_streams_of_its_user(void **state) {
    (void)state;
    struct index index;
    struct stream streams[3] = { 0 };
    index_init(&index);
    for (size_t i = 0; i < 3; i++)
        assert_non_null(index_add_stream(&index, i < 2 ? 1 : 2, &streams[i]));
    assert_int_equal(apply(&index, plain_frame(EVENT_DEVICE_ADDED, 1, 1, 50)), 2);
    assert_int_equal(apply(&index, plain_frame(EVENT_DEVICE_ADDED, 2, 3, 51)), 0);
    for (size_t i = 0; i < 3; i++)
        index_remove_stream(&index, &streams[i]);
    index_release(&index);
}

static void edits_of_what_came_before_joining_are_withheld(void **state) {
    (void)state;
    struct index index;
    struct stream stream = { 0 };
    struct recorder recorder = { 0 };
    struct frame *edit = message_frame(&(struct message_event){ EVENT_MESSAGE_EDITED, 8, 9, id_at(3), "text from before" });
    index_init(&index);
    struct listener *listener = index_add_stream(&index, 1, &stream);
    struct stay stay = { .chat_id = 9, .user_id = 1, .joined_id = id_at(5), .left_id = STAY_OPEN };
    assert_int_equal(index_install(&index, listener, &(struct snapshot_stays){ &stay, 1, id_at(7), 0 }), OK);
    assert_int_equal(index_apply(&index, edit, record, &recorder), OK);
    assert_ptr_equal(recorder.last, edit->withheld);

    uint64_t joined_id;
    index_mark(&index, listener);
    assert_true(index_wants(&index, listener, 9, edit->id, &joined_id));
    assert_ptr_equal(index_form(edit, 1, joined_id), edit->withheld);
    assert_ptr_equal(index_form(edit, 1, id_at(3)), edit);
    frame_drop(edit);
    index_remove_stream(&index, &stream);
    index_release(&index);
}

static void what_is_hidden_from_a_user_comes_so_to_that_user_alone(void **state) {
    (void)state;
    struct event event = { .id = id_at(5),
                           .owner_id = 9,
                           .type = EVENT_MESSAGE_CREATED,
                           .ref_id = id_at(5),
                           .message = { .id = id_at(5), .seq = 1, .text = "rude", .text_size = 4 },
                           .hidden_from = 2 };
    struct frame *frame = frame_of(&event);
    assert_true(frame_set_hidden(frame, &event));
    assert_ptr_equal(index_form(frame, 1, id_at(1)), frame);
    assert_ptr_equal(index_form(frame, 2, id_at(1)), frame->hidden);
    frame->hidden_from = BOTH_MEMBERS;
    assert_ptr_equal(index_form(frame, 1, id_at(1)), frame->hidden);
    assert_ptr_equal(index_form(frame, 2, id_at(1)), frame->hidden);
    frame_drop(frame);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stream_gets_its_feed_and_nothing_else),
        cmocka_unit_test(who_leaves_gets_that_as_the_last),
        cmocka_unit_test(a_device_s_events_go_to_all_streams_of_its_user),
        cmocka_unit_test(edits_of_what_came_before_joining_are_withheld),
        cmocka_unit_test(what_is_hidden_from_a_user_comes_so_to_that_user_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
