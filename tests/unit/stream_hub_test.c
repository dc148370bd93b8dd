/* The hub over socket pairs and a real store: what a client reads is its feed, each event once and in order, whatever is lost, full or closed on
 * the way. */
#include "stream/whisper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/metrics.h"
#include "core/random.h"
#include "db/reader.h"
#include "tests/unit/db_support.h"
#include "tests/unit/unit.h"

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define WAIT_MS 30000
#define SESSION_MS 150           /* of one that ends soon, */
#define LONGEST_SESSION_MS 20000 /* on a machine that stands still while its stream is opened */

/* ---- A hub on a store ---- */

#define LATE_MAX 64

struct world {
    struct fixture *fixture;
    struct config config;
    struct hub *hub;
    _Atomic unsigned lose_one_in; /* commits that the hub does not hear of; 0: none */
    pthread_mutex_t gate;         /* the writer waits for it after each commit */
    _Atomic bool is_late;         /* commits are handed over some time after they are in the store */
    /* The writer's thread: */
    struct frame *late[LATE_MAX]; /* held; commits of one frame each */
    uint64_t late_previous_id[LATE_MAX];
    size_t late_count;
};

static void forward_late(struct world *world) {
    for (size_t i = 0; i < world->late_count; i++) {
        hub_commit(world->hub, world->late_previous_id[i], &world->late[i], 1);
        frame_drop(world->late[i]);
    }
    world->late_count = 0;
}

static void forward_commit(void *context, uint64_t previous_id, struct frame *const *frames, size_t count) {
    struct world *world = context;
    unsigned one_in = world->lose_one_in;
    pthread_mutex_lock(&world->gate);
    pthread_mutex_unlock(&world->gate);
    if (one_in != 0 && random_below(one_in) == 0)
        return;
    if (count == 1 && world->is_late && world->late_count < LATE_MAX) {
        world->late[world->late_count] = frame_hold(frames[0]);
        world->late_previous_id[world->late_count++] = previous_id;
        if (random_below(LATE_MAX / 2) != 0)
            return;
        count = 0;
    }
    forward_late(world);
    hub_commit(world->hub, previous_id, frames, count);
}

static int world_set_up(void **state) {
    struct world *world = calloc(1, sizeof(*world));
    void *fixture;
    assert_int_equal(fixture_set_up(&fixture), 0);
    pthread_mutex_init(&world->gate, NULL);
    world->fixture = fixture;
    world->config = world->fixture->config;
    world->config.rate_limit = false;
    world->config.heartbeat_ms = 100;
    world->config.streams_max = 200;
    store_on_commit(world->fixture->store, forward_commit, world); /* before the first command */
    assert_int_equal(hub_start(world->fixture->store, &world->config, &world->hub), OK);
    *state = world;
    return 0;
}

static int world_tear_down(void **state) {
    struct world *world = *state;
    void *fixture = world->fixture;
    if (world->hub != NULL)
        hub_stop(world->hub);
    pthread_mutex_destroy(&world->gate);
    free(world);
    return fixture_tear_down(&fixture);
}

/* ---- A client ---- */

struct client {
    int fd;
    char *bytes; /* all that was read */
    size_t size, capacity;
    size_t parsed;
    uint64_t user_id;
    uint64_t start_id; /* of `ready` */
    uint64_t *ids;     /* of the events after it */
    size_t count, id_capacity;
    bool ready;
    bool reset;
    bool ended; /* the server closed */
};

static struct stream_request request_for(uint64_t user_id, enum stream_start start, uint64_t after_id) {
    return (struct stream_request){ .user_id = user_id,
                                    .device_id = 1000 + user_id,
                                    .address_hash = 1,
                                    .start = start,
                                    .after_id = after_id,
                                    .named = true,
                                    .head = HEAD,
                                    .head_size = strlen(HEAD) };
}

static struct client open_with(struct world *world, struct stream_request request) {
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    request.fd = fds[1];
    hub_open(world->hub, &request);
    return (struct client){ .fd = fds[0], .user_id = request.user_id };
}

static struct client open_stream(struct world *world, uint64_t user_id, enum stream_start start, uint64_t after_id) {
    return open_with(world, request_for(user_id, start, after_id));
}

static void close_client(struct client *client) {
    close(client->fd);
    free(client->bytes);
    free(client->ids);
    memset(client, 0, sizeof(*client));
}

static void note_frame(struct client *client, const char *frame) {
    const char *id_line = strncmp(frame, "id: ", 4) == 0 ? frame : strstr(frame, "\nid: ");
    if (id_line == NULL)
        return;
    uint64_t id = strtoull(strstr(id_line, "id: ") + 4, NULL, 10);
    bool is_event = strstr(frame, "data: ") != NULL;
    if (strstr(frame, "\"type\":\"ready\"") != NULL) {
        client->start_id = id;
        client->ready = true;
        return;
    }
    client->reset = client->reset || strstr(frame, "\"type\":\"reset\"") != NULL;
    /* An id that goes back, or twice the same event, is what must never be, unless it is another log. */
    uint64_t last_id = client->count > 0 ? client->ids[client->count - 1] : client->start_id;
    assert_true(client->reset || (is_event ? id > last_id : id >= last_id));
    if (!is_event || client->reset)
        return;
    if (client->count == client->id_capacity) {
        client->id_capacity = client->id_capacity * 2 + 16;
        client->ids = realloc(client->ids, client->id_capacity * sizeof(*client->ids));
    }
    client->ids[client->count++] = id;
}

static void parse(struct client *client) {
    if (client->parsed == 0) {
        const char *body = strstr(client->bytes, "\r\n\r\n");
        if (body == NULL)
            return;
        client->parsed = (size_t)(body - client->bytes) + 4;
    }
    for (char *end; (end = strstr(client->bytes + client->parsed, "\n\n")) != NULL;) {
        end[1] = '\0';
        note_frame(client, client->bytes + client->parsed);
        end[1] = '\n';
        client->parsed = (size_t)(end - client->bytes) + 2;
    }
}

static bool receive(struct client *client, int timeout_ms) {
    struct pollfd watched = { client->fd, POLLIN, 0 };
    if (poll(&watched, 1, timeout_ms) <= 0)
        return false;
    if (client->capacity - client->size < 65536) {
        client->capacity = client->capacity * 2 + 65536 * 2;
        client->bytes = realloc(client->bytes, client->capacity);
    }
    ssize_t got = recv(client->fd, client->bytes + client->size, 65535, 0);
    client->ended = got <= 0;
    if (got <= 0)
        return false;
    client->size += (size_t)got;
    client->bytes[client->size] = '\0';
    parse(client);
    return true;
}

static bool has_seen(const struct client *client, const char *text) { return client->bytes != NULL && strstr(client->bytes, text) != NULL; }

static void wait_for(struct client *client, const char *text) {
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    while (!has_seen(client, text) && !client->ended && clock_monotonic_ms() < until_ms)
        receive(client, 100);
    if (!has_seen(client, text))
        fail_msg("not seen: %s in %s", text, client->bytes != NULL ? client->bytes : "nothing");
}

static void wait_for_end(struct client *client) {
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    while (!client->ended && clock_monotonic_ms() < until_ms)
        receive(client, 100);
    assert_true(client->ended);
}

static void wait_for_id(struct client *client, uint64_t id) {
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    while ((client->count == 0 || client->ids[client->count - 1] < id) && !client->ended && clock_monotonic_ms() < until_ms)
        receive(client, 100);
}

/* Everything of the feed after `ready`, up to the last the client has, or to its end. */
static void check_feed(struct world *world, struct client *client, bool to_the_end) {
    size_t count = 0;
    struct frame **feed = feed_of(world->fixture, client->user_id, client->start_id, &count);
    if (to_the_end && count > 0)
        wait_for_id(client, feed[count - 1]->id);
    if (to_the_end)
        assert_int_equal(client->count, count);
    assert_true(client->count <= count);
    for (size_t i = 0; i < client->count; i++)
        assert_int_equal(client->ids[i], feed[i]->id);
    drop_all(feed, count);
}

/* ---- The first frames ---- */

static void ready_comes_first_and_then_what_happens(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna"), ben = make_user(world->fixture, "ben");
    uint64_t chat = make_group(world->fixture, anna, &ben, 1);
    struct client client = open_stream(world, ben, START_AT_HEAD, 0);
    wait_for(&client, "\n\n");
    assert_memory_equal(client.bytes, HEAD "retry: ", strlen(HEAD "retry: "));
    assert_non_null(strstr(client.bytes, "\nevent: ready\nid: "));
    assert_int_equal(client.start_id, store_head(world->fixture->store));
    post_ok(world->fixture, anna, chat, "hello ben");
    wait_for(&client, "hello ben");
    check_feed(world, &client, true);
    wait_for(&client, "\n\nid: "); /* a heartbeat */
    close_client(&client);
}

static void without_names_there_are_no_event_lines(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna");
    struct stream_request request = request_for(anna, START_RESET, 0);
    request.named = false;
    struct client client = open_with(world, request);
    wait_for(&client, "\"type\":\"reset\",\"reason\":\"unreadable\"");
    make_group(world->fixture, anna, NULL, 0);
    wait_for(&client, "\"type\":\"chat.created\"");
    assert_false(has_seen(&client, "event: "));
    close_client(&client);
}

static void a_head_request_gets_the_head_alone(void **state) {
    struct world *world = *state;
    struct stream_request request = request_for(make_user(world->fixture, "anna"), START_AT_HEAD, 0);
    request.head_only = true;
    struct client client = open_with(world, request);
    wait_for_end(&client);
    assert_string_equal(client.bytes, HEAD);
    close_client(&client);
}

static void tokens_that_are_not_good_are_reset(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna");
    make_group(world->fixture, anna, NULL, 0);
    uint64_t head = store_head(world->fixture->store);
    const struct {
        uint64_t token;
        const char *reason;
    } cases[] = { { head ^ 1, "fork" }, { head + (UINT64_C(9) << 16), "future" } };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct client client = open_stream(world, anna, START_AFTER, cases[i].token);
        wait_for(&client, "\"type\":\"reset\"");
        wait_for(&client, cases[i].reason);
        assert_int_equal(client.start_id, head);
        make_group(world->fixture, anna, NULL, 0);
        wait_for(&client, "chat.created");
        head = store_head(world->fixture->store);
        close_client(&client);
    }
}

static void a_stream_resumes_after_its_token(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna"), ben = make_user(world->fixture, "ben");
    uint64_t chat = make_group(world->fixture, anna, &ben, 1);
    uint64_t token = store_head(world->fixture->store);
    for (int i = 0; i < 700; i++)
        post_ok(world->fixture, anna, chat, "while ben was away");
    struct client first = open_stream(world, ben, START_AFTER, token); /* from the store */
    check_feed(world, &first, false);
    wait_for(&first, "while ben");
    struct client second = open_stream(world, ben, START_AFTER, token); /* the links are there: from the ring */
    post_ok(world->fixture, anna, chat, "and now");
    wait_for(&second, "while ben");
    check_feed(world, &first, true);
    check_feed(world, &second, true);
    assert_int_equal(first.start_id, token);
    assert_int_equal(second.start_id, token);
    close_client(&first);
    close_client(&second);
}

/* From the ring or from the store: what is past its own time is not shown any more. */
static void an_expired_message_is_replayed_without_its_text(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna"), ben = make_user(world->fixture, "ben");
    uint64_t chat = make_group(world->fixture, anna, &ben, 1), token = store_head(world->fixture->store);
    struct client first = open_stream(world, ben, START_AT_HEAD, 0);
    wait_for(&first, "ready");
    struct command command = { .type = COMMAND_MESSAGE_POST,
                               .actor_id = anna,
                               .in.message_post = { .chat_id = chat, .text = "for a moment", .text_size = 12, .ttl_ms = 1 } };
    post_ok(world->fixture, anna, chat, "before");
    assert_int_equal(store_run(world->fixture->store, &command), OK);
    command_release(&command);
    post_ok(world->fixture, anna, chat, "after");
    wait_for(&first, "for a moment");                                          /* live */
    for (int64_t posted_ms = clock_now_ms(); clock_now_ms() <= posted_ms + 1;) /* the moment is over */
        ;
    struct client second = open_stream(world, ben, START_AFTER, token); /* the links are there: from the ring */
    wait_for(&second, "after");
    check_feed(world, &second, true);
    assert_true(has_seen(&second, "before") && has_seen(&second, "\"deleted_at\""));
    assert_false(has_seen(&second, "for a moment"));
    close_client(&first);
    close_client(&second);
}

static void run_ok(struct world *world, struct command *command) {
    assert_int_equal(store_run(world->fixture->store, command), OK);
    command_release(command);
}

/* The ring still has it as it was committed. */
static void what_one_has_deleted_for_oneself_is_not_replayed(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna"), ben = make_user(world->fixture, "ben");
    uint64_t chat = make_group(world->fixture, anna, &ben, 1), token = store_head(world->fixture->store);
    struct client first = open_stream(world, ben, START_AFTER, token);
    wait_for(&first, "ready");
    uint64_t secret_id = post_ok(world->fixture, anna, chat, "a secret");
    post_ok(world->fixture, anna, chat, "no secret");
    struct command hide = { .type = COMMAND_MESSAGE_HIDE,
                            .actor_id = ben,
                            .in.message_hide = { .chat_id = chat, .message_id = secret_id } };
    run_ok(world, &hide);
    wait_for(&first, "message.hidden");
    struct client second = open_stream(world, ben, START_AFTER, token), other = open_stream(world, anna, START_AFTER, token);
    wait_for(&second, "message.hidden");
    wait_for(&other, "no secret");
    check_feed(world, &second, true);
    assert_true(has_seen(&first, "a secret") && has_seen(&other, "a secret"));
    assert_false(has_seen(&second, "a secret"));
    close_client(&first);
    close_client(&second);
    close_client(&other);
}

/* Somebody in many chats, and chats with much in them: more than is found by their chats, and more than one write takes. */
static void who_comes_back_has_the_whole_feed_from_the_ring(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna"), ben = make_user(world->fixture, "ben"), chats[40];
    for (size_t i = 0; i < COUNT_OF(chats); i++)
        chats[i] = make_group(world->fixture, anna, i % 2 == 0 ? &ben : NULL, i % 2 == 0);
    uint64_t token = store_head(world->fixture->store);
    struct client follower = open_stream(world, anna, START_AFTER, token);
    for (int i = 0; i < LIMIT_TURN_SCAN + 400; i++)
        post_ok(world->fixture, anna, chats[(size_t)rand() % COUNT_OF(chats)], "while both were away");
    wait_for(&follower, "while both");
    check_feed(world, &follower, true);
    uint64_t pages = metric_get(COUNTER_REPLAY_PAGES);
    struct client all = open_stream(world, anna, START_AFTER, token), half = open_stream(world, ben, START_AFTER, token);
    wait_for(&all, "while both");
    wait_for(&half, "while both");
    check_feed(world, &all, true);
    check_feed(world, &half, true);
    assert_int_equal(all.count, follower.count);
    assert_in_range(half.count, 1, all.count - 1);
    assert_int_equal(metric_get(COUNTER_REPLAY_PAGES), pages);
    close_client(&follower);
    close_client(&all);
    close_client(&half);
}

/* ---- Trouble ---- */

static void who_does_not_read_catches_up_later(void **state) {
    struct world *world = *state;
    static char text[20001];
    memset(text, 'x', sizeof(text) - 1);
    uint64_t anna = make_user(world->fixture, "anna"), ben = make_user(world->fixture, "ben");
    uint64_t chat = make_group(world->fixture, anna, &ben, 1);
    struct client slow = open_stream(world, ben, START_AT_HEAD, 0), quick = open_stream(world, anna, START_AT_HEAD, 0);
    wait_for(&slow, "ready");
    wait_for(&quick, "ready");
    for (int i = 0; i < 2500; i++) { /* more than the ring keeps */
        post_ok(world->fixture, anna, chat, text);
        while (receive(&quick, 0))
            continue;
    }
    check_feed(world, &quick, true);
    check_feed(world, &slow, true);
    assert_int_equal(slow.count, 2500);
    close_client(&slow);
    close_client(&quick);
}

/* ---- Whispers ---- */

static void send_whisper(struct world *world, enum whisper_target target, uint64_t target_id, uint64_t except_user_id, const char *json) {
    whisper_send(world->hub, &(struct whisper){ target, target_id, except_user_id, "typing", json, strlen(json) });
}

/* A stream's heartbeat says that it has everything: from then on it hears whispers. */
static struct client open_caught_up(struct world *world, uint64_t user_id) {
    struct client client = open_stream(world, user_id, START_AT_HEAD, 0);
    wait_for(&client, "\n\nid: ");
    return client;
}

static void a_whisper_reaches_the_members_that_listen(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna"), ben = make_user(world->fixture, "ben"), carl = make_user(world->fixture, "carl");
    uint64_t chat = make_group(world->fixture, anna, &ben, 1);
    struct client writer = open_caught_up(world, anna), reader = open_caught_up(world, ben), stranger = open_caught_up(world, carl);
    send_whisper(world, WHISPER_CHAT, chat, anna, "{\"n\":1}");
    wait_for(&reader, "\n\nevent: typing\ndata: {\"type\":\"typing\",\"n\":1}\n\n");
    send_whisper(world, WHISPER_CHAT, chat, 0, "{}");
    wait_for(&writer, "\n\nevent: typing\ndata: {\"type\":\"typing\"}\n\n");
    send_whisper(world, WHISPER_USER, carl, 0, "{\"n\":2}");
    wait_for(&stranger, "{\"type\":\"typing\",\"n\":2}");
    assert_false(has_seen(&writer, "\"n\":") || has_seen(&reader, "\"n\":2"));
    assert_false(has_seen(&stranger, "\"n\":1") || has_seen(&stranger, "{\"type\":\"typing\"}"));
    close_client(&writer);
    close_client(&reader);
    close_client(&stranger);
}

static void who_has_left_hears_no_whisper(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna"), ben = make_user(world->fixture, "ben");
    uint64_t chat = make_group(world->fixture, anna, &ben, 1);
    struct client reader = open_caught_up(world, ben);
    assert_int_equal(remove_member(world->fixture, anna, chat, ben), OK);
    wait_for(&reader, "member.removed");
    send_whisper(world, WHISPER_CHAT, chat, 0, "{\"n\":1}");
    send_whisper(world, WHISPER_USER, ben, 0, "{\"n\":2}");
    wait_for(&reader, "\"n\":2");
    assert_false(has_seen(&reader, "\"n\":1"));
    check_feed(world, &reader, true);
    close_client(&reader);
}

/* A stream that does not read loses whispers, but no event. */
static void whispers_are_lost_where_a_socket_is_full(void **state) {
    struct world *world = *state;
    static char json[4001];
    memset(json, ' ', sizeof(json) - 1);
    json[0] = '{', json[sizeof(json) - 2] = '}';
    uint64_t anna = make_user(world->fixture, "anna"), ben = make_user(world->fixture, "ben");
    uint64_t chat = make_group(world->fixture, anna, &ben, 1);
    struct client slow = open_caught_up(world, ben), quick = open_caught_up(world, anna);
    for (int i = 0; i < 200; i++) {
        send_whisper(world, WHISPER_USER, ben, 0, json);
        post_ok(world->fixture, anna, chat, "a word");
    }
    check_feed(world, &quick, true);
    check_feed(world, &slow, true);
    assert_int_equal(slow.count, 200);
    assert_true(slow.size < 200 * sizeof(json));
    close_client(&slow);
    close_client(&quick);
}

#define WAITING 8

static _Atomic int done_count;
static void count_done(struct command *command) {
    command_release(command);
    done_count++;
}

/* Until the writer has taken it: what is submitted from now on waits. */
static void occupy_writer(struct world *world, struct command *command) {
    assert_int_equal(store_submit(world->fixture->store, command), OK);
    while (store_is_behind(world->fixture->store))
        sched_yield();
}

static void while_the_writer_is_behind_nobody_whispers(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna"), ben = make_user(world->fixture, "ben");
    uint64_t chat = make_group(world->fixture, anna, &ben, 1);
    struct client reader = open_caught_up(world, ben);
    struct command posts[WAITING];
    for (size_t i = 0; i < WAITING; i++)
        posts[i] = (struct command){ .type = COMMAND_MESSAGE_POST,
                                     .actor_id = anna,
                                     .done = count_done,
                                     .in.message_post = { .chat_id = chat, .text = "a word", .text_size = 6 } };
    done_count = 0;
    pthread_mutex_lock(&world->gate);
    world->fixture->config.queue_max = 1;
    occupy_writer(world, &posts[0]);
    world->fixture->config.queue_max = WAITING;
    uint64_t dropped = metric_get(COUNTER_WHISPERS_DROPPED_TYPING);
    for (size_t i = 1; i < WAITING; i++) {
        send_whisper(world, WHISPER_USER, ben, 0, i <= WAITING / 2 + 1 ? "{\"n\":1}" : "{\"n\":2}");
        assert_int_equal(store_submit(world->fixture->store, &posts[i]), OK);
    }
    assert_int_equal(metric_get(COUNTER_WHISPERS_DROPPED_TYPING) - dropped, WAITING - 1 - (WAITING / 2 + 1));
    pthread_mutex_unlock(&world->gate);
    while (done_count < WAITING)
        sched_yield();
    send_whisper(world, WHISPER_USER, ben, 0, "{\"n\":3}");
    wait_for(&reader, "\"n\":3");
    assert_true(has_seen(&reader, "\"n\":1"));
    assert_false(has_seen(&reader, "\"n\":2"));
    check_feed(world, &reader, true);
    assert_int_equal(reader.count, WAITING);
    close_client(&reader);
}

static void what_the_hub_does_not_hear_it_reads(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna");
    struct client client = open_stream(world, anna, START_AT_HEAD, 0);
    wait_for(&client, "ready");
    world->lose_one_in = 3;
    uint64_t chat = make_group(world->fixture, anna, NULL, 0);
    for (int i = 0; i < 200; i++)
        post_ok(world->fixture, anna, chat, "a word");
    world->lose_one_in = 1; /* the last ones are never handed over: the hub notices by itself */
    post_ok(world->fixture, anna, chat, "the last word");
    check_feed(world, &client, true);
    world->lose_one_in = 0;
    close_client(&client);
}

static uint64_t device_of(struct world *world, uint64_t user_id) {
    struct device *devices;
    size_t count;
    assert_int_equal(read_devices(world->fixture->reader, user_id, &world->fixture->arena, &devices, &count), OK);
    assert_int_equal(count, 1);
    return devices[0].id;
}

static void remove_device(struct world *world, uint64_t user_id, uint64_t device_id) {
    struct command command = { .type = COMMAND_DEVICE_REMOVE, .actor_id = user_id, .in.device_remove = { device_id, REMOVAL_REVOKED } };
    assert_int_equal(store_run(world->fixture->store, &command), OK);
    command_release(&command);
}

static void a_removed_device_is_told_and_cut_off(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna"), device = device_of(world, anna);
    struct stream_request request = request_for(anna, START_AT_HEAD, 0);
    struct client other = open_with(world, request);
    request.device_id = device;
    struct client removed = open_with(world, request);
    wait_for(&removed, "ready");
    wait_for(&other, "ready");
    remove_device(world, anna, device);
    wait_for_end(&removed);
    assert_true(has_seen(&removed, "event: closing\ndata: {\"type\":\"closing\",\"reason\":\"device_revoked\"}\n\n"));
    assert_false(has_seen(&removed, "device.removed"));
    wait_for(&other, "device.removed");

    struct client late = open_with(world, request); /* its session was checked a moment before */
    wait_for_end(&late);
    assert_true(has_seen(&late, "device_revoked"));
    assert_false(has_seen(&late, "ready"));
    close_client(&removed);
    close_client(&other);
    close_client(&late);
}

/* ---- Another log ---- */

static struct client open_on_device(struct world *world, uint64_t user_id, uint64_t device_id) {
    struct stream_request request = request_for(user_id, START_AT_HEAD, 0);
    request.device_id = device_id;
    return open_with(world, request);
}

/* What is told again after the reset, in spite of the same ids, is what a database would tell that has written it again. */
static void a_log_that_was_replaced_resets_every_stream(void **state) {
    struct world *world = *state;
    static char text[20001];
    memset(text, 'x', sizeof(text) - 1);
    uint64_t anna = make_user(world->fixture, "anna"), ben = make_user(world->fixture, "ben");
    uint64_t chat = make_group(world->fixture, anna, &ben, 1), older = store_head(world->fixture->store);
    struct client live = open_on_device(world, anna, device_of(world, anna));
    struct client blocked = open_on_device(world, ben, device_of(world, ben)), gone = open_on_device(world, ben, 77);
    struct client *const clients[] = { &live, &blocked, &gone };
    for (size_t i = 0; i < COUNT_OF(clients); i++)
        wait_for(clients[i], "ready");
    for (int i = 0; i < 200; i++) { /* more than a socket takes */
        post_ok(world->fixture, anna, chat, text);
        while (receive(&live, 0))
            continue;
    }
    check_feed(world, &live, true);
    hub_break(world->hub, LOG_REPLACED, older);
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        wait_for(clients[i], "event: reset\n");
        assert_true(has_seen(clients[i], "\"reason\":\"future\""));
        check_feed(world, clients[i], false);
    }
    wait_for_end(&gone);
    assert_true(has_seen(&gone, "\"type\":\"closing\",\"reason\":\"device_revoked\""));
    post_ok(world->fixture, anna, chat, "of the other log");
    wait_for(&live, "of the other log");
    wait_for(&blocked, "of the other log");
    for (size_t i = 0; i < COUNT_OF(clients); i++)
        close_client(clients[i]);
}

/* Streams that were read to where the hub is, or on from there, go on; nobody is told. */
static void a_log_that_was_doubted_goes_on_where_it_is_the_same(void **state) {
    struct world *world = *state;
    uint64_t anna = make_user(world->fixture, "anna"), ben = make_user(world->fixture, "ben");
    uint64_t chat = make_group(world->fixture, anna, &ben, 1), token = store_head(world->fixture->store);
    struct client live = open_on_device(world, anna, device_of(world, anna));
    wait_for(&live, "ready");
    world->is_late = true; /* the hub is behind the store, and ahead of it the next stream */
    for (int i = 0; i < 20; i++)
        post_ok(world->fixture, anna, chat, "while the hub hears nothing");
    struct stream_request request = request_for(ben, START_AFTER, token);
    request.device_id = device_of(world, ben);
    struct client ahead = open_with(world, request);
    wait_for(&ahead, "while the hub");
    hub_break(world->hub, LOG_DOUBTED, 0);
    world->is_late = false;
    post_ok(world->fixture, anna, chat, "and now");
    check_feed(world, &live, true);
    check_feed(world, &ahead, true);
    assert_false(has_seen(&live, "reset\n") || has_seen(&ahead, "reset\n"));
    close_client(&live);
    close_client(&ahead);
}

static void an_expired_session_ends_its_stream(void **state) {
    struct world *world = *state;
    struct stream_request request = request_for(make_user(world->fixture, "anna"), START_AT_HEAD, 0);
    bool was_ready = false;
    for (int64_t session_ms = SESSION_MS; !was_ready && session_ms < LONGEST_SESSION_MS; session_ms *= 4) {
        request.session_ends_ms = clock_now_ms() + session_ms;
        struct client client = open_with(world, request);
        wait_for_end(&client);
        assert_true(has_seen(&client, "session_expired"));
        was_ready = has_seen(&client, "ready"); /* else it ended before that could be said */
        close_client(&client);
    }
    assert_true(was_ready);
}

static void a_client_that_talks_too_much_is_cut_off(void **state) {
    struct world *world = *state;
    static char noise[16384];
    struct client client = open_stream(world, make_user(world->fixture, "anna"), START_AT_HEAD, 0);
    wait_for(&client, "ready");
    ssize_t sent = 1;
    for (int i = 0; i < 1000 && sent > 0; i++)
        sent = send(client.fd, noise, sizeof(noise), MSG_NOSIGNAL);
    assert_true(sent < 0);
    wait_for_end(&client);
    close_client(&client);
}

/* ---- Caps and the end: a hub with other settings ---- */

static void restart(struct world *world) {
    hub_stop(world->hub);
    assert_int_equal(hub_start(world->fixture->store, &world->config, &world->hub), OK);
}

static void expect_cap(struct world *world, struct stream_request request, size_t allowed) {
    struct client clients[8];
    assert_true(allowed < COUNT_OF(clients));
    restart(world);
    for (size_t i = 0; i <= allowed; i++) {
        request.device_id++;
        clients[i] = open_with(world, request);
    }
    wait_for_end(&clients[allowed]);
    assert_true(has_seen(&clients[allowed], "too_many_streams"));
    for (size_t i = 0; i < allowed; i++)
        wait_for(&clients[i], "ready");
    for (size_t i = 0; i <= allowed; i++)
        close_client(&clients[i]);
}

static void caps_are_kept(void **state) {
    struct world *world = *state;
    struct stream_request request = request_for(make_user(world->fixture, "anna"), START_AT_HEAD, 0);
    world->config.rate_limit = true;
    world->config.streams_per_user = 3;
    expect_cap(world, request, 3);
    world->config.streams_per_user = 100;
    world->config.streams_per_address = 2;
    expect_cap(world, request, 2);
    world->config.rate_limit = false;
    world->config.streams_max = 4;
    expect_cap(world, request, 4);
}

static void a_closed_stream_makes_room(void **state) {
    struct world *world = *state;
    struct stream_request request = request_for(make_user(world->fixture, "anna"), START_AT_HEAD, 0);
    world->config.rate_limit = true;
    world->config.streams_per_device = 1;
    restart(world);
    struct client first = open_with(world, request), second = open_with(world, request);
    wait_for(&first, "ready");
    wait_for_end(&second);
    close_client(&first);
    for (bool admitted = false; !admitted;) {
        struct client next = open_with(world, request);
        wait_for(&next, "\n\n");
        admitted = next.ready;
        close_client(&next);
    }
    close_client(&second);
}

static void stopping_says_so_on_every_stream(void **state) {
    struct world *world = *state;
    static char text[60001];
    memset(text, 'x', sizeof(text) - 1);
    uint64_t anna = make_user(world->fixture, "anna");
    uint64_t chat = make_group(world->fixture, anna, NULL, 0);
    struct client idle = open_stream(world, make_user(world->fixture, "ben"), START_AT_HEAD, 0);
    struct client stalled = open_stream(world, anna, START_AT_HEAD, 0);
    wait_for(&idle, "ready");
    wait_for(&stalled, "ready");
    for (int i = 0; i < 30; i++)
        post_ok(world->fixture, anna, chat, text);
    hub_stop(world->hub);
    world->hub = NULL;
    wait_for_end(&idle);
    assert_true(has_seen(&idle, "\"reason\":\"draining\""));
    wait_for_end(&stalled);
    check_feed(world, &stalled, false);
    close_client(&idle);
    close_client(&stalled);
}

/* ---- Everything at once ---- */

#define SOAK_USERS 6
#define SOAK_CHATS 3
#define SOAK_CLIENTS 16
#define SOAK_STEPS 3000

/* One thread writes, the other opens, reads and closes streams, so that streams come back at any moment between a commit, its being heard, and a page. */
struct soak {
    struct world *world;
    uint64_t users[SOAK_USERS]; /* the first one owns the chats */
    uint64_t chats[SOAK_CHATS];
    struct client clients[SOAK_CLIENTS]; /* user_id 0: closed */
    uint64_t tokens[SOAK_CLIENTS];       /* where the last stream of this place was cut off */
    char text[30001];
    _Atomic int steps; /* that clients have made; the writer keeps pace with them */
    _Atomic bool stopping;
};

static void soak_change_membership(struct soak *soak) {
    uint64_t user = soak->users[1 + random_below(SOAK_USERS - 1)], chat = soak->chats[random_below(SOAK_CHATS)];
    if (random_below(2) == 0)
        (void)!put_member(soak->world->fixture, soak->users[0], chat, user, ROLE_NONE);
    else
        (void)!remove_member(soak->world->fixture, soak->users[0], chat, user);
}

static void soak_post(struct soak *soak) {
    size_t size = random_below(20) == 0 ? random_below(sizeof(soak->text) - 1) + 1 : 10;
    struct command command;
    soak->text[size] = '\0';
    (void)!post(soak->world->fixture, soak->users[0], soak->chats[random_below(SOAK_CHATS)], soak->text, 0, &command);
    command_release(&command);
    soak->text[size] = 'x';
}

static void *soak_write(void *context) {
    struct soak *soak = context;
    for (int written = 0; !soak->stopping; written++) {
        while (written > soak->steps && !soak->stopping)
            sched_yield();
        if (random_below(2) == 0)
            soak_change_membership(soak);
        else
            soak_post(soak);
        if (random_below(4) == 0)
            send_whisper(soak->world, WHISPER_CHAT, soak->chats[random_below(SOAK_CHATS)], 0, "{\"in\":\"between\"}");
    }
    return NULL;
}

static void soak_open(struct soak *soak, size_t place) {
    uint64_t token = soak->tokens[place];
    uint64_t user = soak->users[place % SOAK_USERS];
    soak->clients[place] = open_stream(soak->world, user, token != 0 ? START_AFTER : START_AT_HEAD, token);
}

static void soak_close(struct soak *soak, size_t place) {
    struct client *client = &soak->clients[place];
    check_feed(soak->world, client, false);
    if (client->ready)
        soak->tokens[place] = client->count > 0 ? client->ids[client->count - 1] : client->start_id;
    close_client(client);
}

/* The first places read seldom, so that their sockets get full. */
static void soak_read(struct soak *soak, size_t place) {
    if (place > 3 || random_below(30) == 0)
        receive(&soak->clients[place], place > 3 ? 1 : 0);
}

static void soak_step(struct soak *soak, size_t place) {
    if (soak->clients[place].user_id == 0)
        soak_open(soak, place);
    else if (random_below(10) == 0)
        soak_close(soak, place);
    else
        soak_read(soak, place);
}

static void soak_begin(struct soak *soak) {
    memset(soak->text, 'x', sizeof(soak->text) - 1);
    for (size_t i = 0; i < SOAK_USERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "user%zu", i);
        soak->users[i] = make_user(soak->world->fixture, name);
    }
    for (size_t i = 0; i < SOAK_CHATS; i++)
        soak->chats[i] = make_group(soak->world->fixture, soak->users[0], soak->users + 1 + i, 2);
}

static void soak_end(struct soak *soak) {
    for (size_t i = 0; i < SOAK_CLIENTS; i++) {
        struct client *client = &soak->clients[i];
        if (client->user_id == 0)
            continue;
        wait_for(client, "ready");
        assert_false(client->reset);
        check_feed(soak->world, client, true);
        close_client(client);
    }
}

static void soak_with(struct world *world, unsigned lose_one_in, bool is_late) {
    static struct soak soak;
    pthread_t writer;
    soak = (struct soak){ .world = world };
    soak_begin(&soak);
    world->lose_one_in = lose_one_in;
    world->is_late = is_late;
    assert_int_equal(pthread_create(&writer, NULL, soak_write, &soak), 0);
    for (; soak.steps < SOAK_STEPS; soak.steps++)
        soak_step(&soak, random_below(SOAK_CLIENTS));
    soak.stopping = true;
    pthread_join(writer, NULL);
    world->lose_one_in = 0;
    world->is_late = false;
    soak_post(&soak);
    soak_end(&soak);
}

static void feeds_are_exact(void **state) { soak_with(*state, 0, false); }
static void feeds_are_exact_when_commits_are_lost(void **state) { soak_with(*state, 10, false); }
static void feeds_are_exact_when_the_hub_is_late(void **state) { soak_with(*state, 0, true); }

#define HUB_TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        HUB_TEST(ready_comes_first_and_then_what_happens),
        HUB_TEST(without_names_there_are_no_event_lines),
        HUB_TEST(a_head_request_gets_the_head_alone),
        HUB_TEST(tokens_that_are_not_good_are_reset),
        HUB_TEST(a_stream_resumes_after_its_token),
        HUB_TEST(what_one_has_deleted_for_oneself_is_not_replayed),
        HUB_TEST(who_comes_back_has_the_whole_feed_from_the_ring),
        HUB_TEST(an_expired_message_is_replayed_without_its_text),
        HUB_TEST(who_does_not_read_catches_up_later),
        HUB_TEST(what_the_hub_does_not_hear_it_reads),
        HUB_TEST(a_whisper_reaches_the_members_that_listen),
        HUB_TEST(who_has_left_hears_no_whisper),
        HUB_TEST(whispers_are_lost_where_a_socket_is_full),
        HUB_TEST(while_the_writer_is_behind_nobody_whispers),
        HUB_TEST(a_removed_device_is_told_and_cut_off),
        HUB_TEST(a_log_that_was_replaced_resets_every_stream),
        HUB_TEST(a_log_that_was_doubted_goes_on_where_it_is_the_same),
        HUB_TEST(an_expired_session_ends_its_stream),
        HUB_TEST(a_client_that_talks_too_much_is_cut_off),
        HUB_TEST(caps_are_kept),
        HUB_TEST(a_closed_stream_makes_room),
        HUB_TEST(stopping_says_so_on_every_stream),
        HUB_TEST(feeds_are_exact),
        HUB_TEST(feeds_are_exact_when_commits_are_lost),
        HUB_TEST(feeds_are_exact_when_the_hub_is_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
