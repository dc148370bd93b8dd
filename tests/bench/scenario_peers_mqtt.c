/* Mosquitto at the work of a group's streams: one topic, QoS 1, sessions that are kept. Each subscriber acknowledges each message, all that came in one read by one
 * write; publishers wait for their acknowledgement, and while too many messages are on their way, as the posters of `deliveries` do. One thread does both. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "fanout.h"
#include "figures.h"
#include "http.h"
#include "mqtt.h"
#include "peer.h"
#include "plot.h"
#include "post.h"
#include "report.h"
#include "streams.h"

#define TOPIC "chat"
#define EPOLL_EVENTS 512
#define WAIT_MS 10
#define READ_BYTES (256 * 1024)
#define SAMPLE_STRIDE 16

struct client {
    int fd;
    bool is_publisher;
    bool waits; /* a publisher, for its acknowledgement */
    char *partial;
    size_t partial_len;
    struct id_sum messages;
};

struct mqtt {
    const struct options *options;
    struct peer peer;
    int epoll_fd;
    uint32_t subscriber_count, client_count;
    struct client *clients; /* the subscribers, then the publishers; owned */
    char *scratch;          /* READ_BYTES; owned */
    uint64_t published, acknowledged, received, errors;
    uint64_t last_stamp_ns, last_received_ns;
    struct id_sum expected;
    struct histogram latency;
    struct table table;
};

/* ---- Connecting ---- */

/* Sends a packet and waits for the one that answers it. */
static bool exchange(int fd, const char *bytes, size_t len, enum mqtt_type answer) {
    char received[64];
    size_t received_len = 0;
    struct mqtt_packet packet;
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    if (send(fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        return false;
    while (received_len < sizeof received && poll(&ready, 1, (int)(BENCH_ANSWER_LIMIT_NS / NS_PER_MS)) == 1) {
        ssize_t got = recv(fd, received + received_len, sizeof received - received_len, 0);
        if (got <= 0)
            return false;
        received_len += (size_t)got;
        if (mqtt_read(received, received_len, &packet))
            return packet.type == answer;
    }
    return false;
}

static bool connect_client(struct mqtt *mqtt, uint32_t index) {
    struct client *client = &mqtt->clients[index];
    char bytes[MQTT_PACKET_BYTES_MAX], name[24];
    snprintf(name, sizeof name, "bench%u", index);
    client->is_publisher = index >= mqtt->subscriber_count;
    client->fd = http_connect(mqtt->peer.ports[0], 0);
    if (client->fd < 0 || !exchange(client->fd, bytes, mqtt_write_connect(name, bytes), MQTT_CONNACK))
        return false;
    if (!client->is_publisher && !exchange(client->fd, bytes, mqtt_write_subscribe(TOPIC, 1, bytes), MQTT_SUBACK))
        return false;
    return http_watch(mqtt->epoll_fd, client->fd, index);
}

static enum outcome connect_all(struct mqtt *mqtt) {
    for (uint32_t i = 0; i < mqtt->client_count; i++) {
        if (!connect_client(mqtt, i)) {
            complain("peers: Mosquitto: client %u cannot connect: %s", i, strerror(errno));
            return OUTCOME_FAILED;
        }
    }
    return OUTCOME_OK;
}

/* ---- Publishing ---- */

static bool may_publish(const struct mqtt *mqtt) {
    uint64_t ahead = mqtt->options->events_ahead, least = mqtt->subscriber_count;
    uint64_t events = (mqtt->published + 1) * mqtt->subscriber_count;
    return ahead == 0 || events <= mqtt->received + (ahead > least ? ahead : least);
}

static void publish(struct mqtt *mqtt, struct client *client) {
    char bytes[MQTT_PACKET_BYTES_MAX], text[BENCH_TEXT_BYTES_MAX + 1];
    uint64_t now = now_ns();
    mqtt->last_stamp_ns = now > mqtt->last_stamp_ns ? now : mqtt->last_stamp_ns + 1;
    const struct post post = { .time_ns = mqtt->last_stamp_ns, .text_bytes = mqtt->options->text_bytes };
    post_write_text(&post, text);
    size_t len = mqtt_write_publish(TOPIC, 1, text, post.text_bytes, bytes);
    client->waits = true;
    mqtt->published++;
    id_sum_add(&mqtt->expected, post.time_ns);
    mqtt->errors += send(client->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len;
}

static void publish_where_possible(struct mqtt *mqtt) {
    for (uint32_t i = mqtt->subscriber_count; i < mqtt->client_count && may_publish(mqtt); i++) {
        if (!mqtt->clients[i].waits)
            publish(mqtt, &mqtt->clients[i]);
    }
}

/* ---- Receiving ---- */

static void take_message(struct mqtt *mqtt, struct client *client, const struct mqtt_packet *packet, uint64_t now) {
    uint64_t sent_ns;
    if (!post_read_stamp(packet->payload ? packet->payload : "", packet->payload_len, &sent_ns)) {
        mqtt->errors++;
        return;
    }
    id_sum_add(&client->messages, sent_ns);
    mqtt->received++;
    mqtt->last_received_ns = now;
    if ((client - mqtt->clients) % SAMPLE_STRIDE == 0)
        histogram_record(&mqtt->latency, now - sent_ns);
}

/* Takes every whole packet and returns how many bytes they were; acknowledgements are sent together. */
static size_t take_packets(struct mqtt *mqtt, struct client *client, const char *bytes, size_t len) {
    static char acknowledgements[READ_BYTES];
    size_t taken = 0, acknowledgements_len = 0;
    struct mqtt_packet packet;
    uint64_t now = now_ns();
    while (mqtt_read(bytes + taken, len - taken, &packet)) {
        if (packet.type == MQTT_PUBLISH) {
            take_message(mqtt, client, &packet, now);
            acknowledgements_len += mqtt_write_puback(packet.id, acknowledgements + acknowledgements_len);
        } else if (packet.type == MQTT_PUBACK && client->is_publisher) {
            client->waits = false;
            mqtt->acknowledged++;
        }
        taken += packet.len;
    }
    if (acknowledgements_len && send(client->fd, acknowledgements, acknowledgements_len, MSG_NOSIGNAL) != (ssize_t)acknowledgements_len)
        mqtt->errors++;
    return taken;
}

static void keep_partial(struct mqtt *mqtt, struct client *client, const char *bytes, size_t len) {
    char *partial = len ? realloc(client->partial, len) : NULL;
    if (len == 0) {
        free(client->partial);
        client->partial = NULL;
    } else if (partial) {
        memcpy(partial, bytes, len);
        client->partial = partial;
    } else {
        mqtt->errors++;
    }
    client->partial_len = len;
}

static void client_receive(struct mqtt *mqtt, struct client *client) {
    size_t kept = client->partial_len;
    ssize_t got = recv(client->fd, mqtt->scratch + kept, READ_BYTES - kept, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        mqtt->errors++;
        epoll_ctl(mqtt->epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
        return;
    }
    if (kept)
        memcpy(mqtt->scratch, client->partial, kept);
    size_t len = kept + (size_t)got, taken = take_packets(mqtt, client, mqtt->scratch, len);
    keep_partial(mqtt, client, mqtt->scratch + taken, len - taken);
}

static void turn(struct mqtt *mqtt) {
    struct epoll_event events[EPOLL_EVENTS];
    int count = epoll_wait(mqtt->epoll_fd, events, EPOLL_EVENTS, WAIT_MS);
    for (int i = 0; i < count; i++)
        client_receive(mqtt, &mqtt->clients[events[i].data.u64]);
}

/* ---- The run ---- */

static void run_load(struct mqtt *mqtt, struct fanout_result *ret_result) {
    uint64_t cpu_before_ns = process_read_group_cpu_ns(mqtt->peer.pid), start_ns = now_ns();
    uint64_t end_ns = start_ns + mqtt->options->seconds * NS_PER_SECOND;
    while (now_ns() < end_ns && mqtt->errors == 0 && !bench_interrupted()) {
        publish_where_possible(mqtt);
        turn(mqtt);
    }
    uint64_t progress_ns = now_ns(), settle_ns = mqtt->options->settle_seconds * NS_PER_SECOND;
    while (mqtt->received < mqtt->published * mqtt->subscriber_count && mqtt->errors == 0 && !bench_interrupted()) {
        turn(mqtt);
        progress_ns = mqtt->last_received_ns > progress_ns ? mqtt->last_received_ns : progress_ns;
        if (now_ns() > progress_ns + settle_ns)
            break;
    }
    *ret_result = (struct fanout_result){ .events = mqtt->received,
                                          .cpu_ns = process_read_group_cpu_ns(mqtt->peer.pid) - cpu_before_ns,
                                          .duration_ns = mqtt->last_received_ns > start_ns ? mqtt->last_received_ns - start_ns : 0 };
}

static uint32_t count_differing(const struct mqtt *mqtt) {
    uint32_t differing = 0;
    for (uint32_t i = 0; i < mqtt->subscriber_count; i++) {
        const struct id_sum *got = &mqtt->clients[i].messages;
        differing += got->count != mqtt->expected.count || got->sum != mqtt->expected.sum;
    }
    return differing;
}

static void add_row(struct mqtt *mqtt, const struct fanout_result *result) {
    struct table *table = &mqtt->table;
    table_cell(table, "Mosquitto");
    table_cell(table, "%u", mqtt->subscriber_count);
    table_count(table, mqtt->acknowledged);
    table_count(table, result->events);
    table_count(table, fanout_rate(result));
    table_cell(table, "%.2f", fanout_cost_us(result));
    table_latencies(table, &mqtt->latency);
    table_count(table, mqtt->errors);
    table_cell(table, "%u", count_differing(mqtt));
    plot_add(PLOT_EVENTS, "Mosquitto", mqtt->subscriber_count, (double)fanout_rate(result));
    plot_add(PLOT_COST, "Mosquitto", mqtt->subscriber_count, fanout_cost_us(result));
    if (mqtt->subscriber_count == 1000)
        figure_set(FIGURE_MOSQUITTO_EVENTS_1000, (double)fanout_rate(result));
}

static enum outcome run(struct mqtt *mqtt) {
    static const char *const arguments[] = { "mosquitto", "-c", "@FOLDER@/mosquitto.conf", NULL };
    struct fanout_result result;
    complain("peers: Mosquitto, %u subscribers", mqtt->subscriber_count);
    mqtt->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    mqtt->clients = calloc(mqtt->client_count, sizeof *mqtt->clients);
    mqtt->scratch = malloc(READ_BYTES);
    if (mqtt->epoll_fd < 0 || !mqtt->clients || !mqtt->scratch)
        return OUTCOME_FAILED;
    for (uint32_t i = 0; i < mqtt->client_count; i++)
        mqtt->clients[i].fd = -1;
    if (peer_prepare(mqtt->options, "Mosquitto", &mqtt->peer) || peer_configure(&mqtt->peer, "mosquitto.conf", NULL) ||
        peer_start(&mqtt->peer, 1, arguments) || connect_all(mqtt))
        return OUTCOME_FAILED;
    run_load(mqtt, &result);
    add_row(mqtt, &result);
    return OUTCOME_OK;
}

static void release(struct mqtt *mqtt) {
    for (uint32_t i = 0; mqtt->clients && i < mqtt->client_count; i++) {
        if (mqtt->clients[i].fd >= 0)
            close(mqtt->clients[i].fd);
        free(mqtt->clients[i].partial);
    }
    if (mqtt->epoll_fd >= 0)
        close(mqtt->epoll_fd);
    free(mqtt->clients);
    free(mqtt->scratch);
    peer_release(&mqtt->peer);
}

/* The row of 1,000, or the largest that is not more. */
static uint32_t choose_count(const struct size_list *sizes) {
    uint32_t count = sizes->values[0];
    for (size_t i = 0; i < sizes->count; i++)
        count = sizes->values[i] <= 1000 && sizes->values[i] > count ? sizes->values[i] : count;
    return bench_streams_possible(count);
}

enum outcome scenario_peers_mqtt(const struct options *options) {
    static const char *const columns[] = { "server",       "subscribers",         "messages", "events", "events/s",
                                           "CPU us/event", TABLE_LATENCY_COLUMNS, "errors",   "wrong",  NULL };
    if (!process_is_installed("mosquitto")) {
        complain("peers: Mosquitto is not installed (scripts/install.sh bench)");
        return OUTCOME_OK;
    }
    struct mqtt *mqtt = calloc(1, sizeof *mqtt);
    if (!mqtt)
        return OUTCOME_FAILED;
    mqtt->options = options;
    mqtt->subscriber_count = choose_count(&options->streams);
    mqtt->client_count = mqtt->subscriber_count + options->poster_count;
    table_start(&mqtt->table, "peers: one topic, QoS 1, sessions that are kept; configuration in tests/bench/peers", columns);
    enum outcome outcome = run(mqtt);
    table_print(&mqtt->table);
    release(mqtt);
    free(mqtt);
    return outcome;
}
