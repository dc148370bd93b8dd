/* The load generator's main: options, the table of scenarios, and the exit status. */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "goals.h"
#include "plot.h"
#include "post.h"
#include "report.h"

static const struct scenario {
    const char *name;
    const char *summary;
    enum outcome (*run)(const struct options *options);
} scenarios[] = {
    { "machine", "the disk's and the network's own limits", scenario_machine },
    { "limits", "the limits of the HTTP library and the databases", scenario_limits },
    { "peers-posts", "durable messages by ejabberd", scenario_peers_posts },
    { "peers-streams", "events a second to streams of Nchan and Pushpin, and the memory of one", scenario_peers_streams },
    { "peers-mqtt", "the same by Mosquitto with QoS 1", scenario_peers_mqtt },
    { "posts", "durable posts a second and their latency", scenario_posts },
    { "rates", "latency of posts at parts of the maximum rate", scenario_rates },
    { "mariadb", "posts again, on a MariaDB that the bench starts", scenario_mariadb },
    { "deliveries", "events a second to many streams, each message once and in order", scenario_deliveries },
    { "direct", "from post to event over many direct chats, at a rate", scenario_direct },
    { "return", "streams that all come back at once", scenario_return },
    { "network", "posts and streams from far away, with losses and cuts", scenario_network },
    { "history", "pages, start and posts with very many messages stored", scenario_history },
    { "idle", "memory and wake-ups of a server that nobody uses", scenario_idle },
    { "instructions", "instructions for a message and a delivery, by callgrind; only by name", scenario_instructions },
    { "stalls", "the longest waits at half of the maximum rate", scenario_stalls },
    { "memory", "bytes of an idle stream", scenario_memory },
    { "cleanup", "posting while expired messages and media are removed", scenario_cleanup },
    { "cost", "what a post costs in chats of 2 to a million members, and a list of 1,000 chats", scenario_cost },
    { "nodes", "posts on one, two and four nodes, and the way from one to another; needs PARLEY_DB", scenario_nodes },
    { "crowd", "a message to very many streams, over four nodes; needs PARLEY_DB", scenario_crowd },
};
#define SCENARIO_COUNT (sizeof scenarios / sizeof scenarios[0])

static volatile sig_atomic_t interrupted;

bool bench_interrupted(void) { return interrupted; }

static void on_signal(int signal_number) {
    (void)signal_number;
    interrupted = 1;
}

void complain(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "bench: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
}

uint32_t bench_streams_possible(uint32_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY || wanted + BENCH_DESCRIPTOR_RESERVE <= limit.rlim_cur)
        return wanted;
    uint32_t possible = limit.rlim_cur > 2 * BENCH_DESCRIPTOR_RESERVE ? (uint32_t)limit.rlim_cur - BENCH_DESCRIPTOR_RESERVE : 100;
    complain("only %u of %u streams: a process has %llu descriptors (ulimit -n)", possible, wanted, (unsigned long long)limit.rlim_cur);
    return possible;
}

/* ---- Options ---- */

enum option_code {
    OPTION_SERVER = 256,
    OPTION_DATA,
    OPTION_QUICK,
    OPTION_SECONDS,
    OPTION_TEXT,
    OPTION_SETTLE,
    OPTION_CONNECTIONS,
    OPTION_RATE,
    OPTION_GROW,
    OPTION_USERS,
    OPTION_CHATS,
    OPTION_MEMBERS,
    OPTION_STREAMS,
    OPTION_POSTERS,
    OPTION_AHEAD,
    OPTION_IDLE,
    OPTION_EXPIRED,
    OPTION_OBJECTS,
    OPTION_CROWD,
    OPTION_OPEN,
    OPTION_DIRECT,
    OPTION_DIRECT_RATE,
    OPTION_STORED,
    OPTION_STALL,
    OPTION_FOLLOWERS,
    OPTION_HELP
};

static const struct option option_names[] = {
    { "server", required_argument, NULL, OPTION_SERVER },
    { "data", required_argument, NULL, OPTION_DATA },
    { "quick", no_argument, NULL, OPTION_QUICK },
    { "seconds", required_argument, NULL, OPTION_SECONDS },
    { "text", required_argument, NULL, OPTION_TEXT },
    { "settle", required_argument, NULL, OPTION_SETTLE },
    { "connections", required_argument, NULL, OPTION_CONNECTIONS },
    { "rate", required_argument, NULL, OPTION_RATE },
    { "grow", no_argument, NULL, OPTION_GROW },
    { "users", required_argument, NULL, OPTION_USERS },
    { "chats", required_argument, NULL, OPTION_CHATS },
    { "members", required_argument, NULL, OPTION_MEMBERS },
    { "streams", required_argument, NULL, OPTION_STREAMS },
    { "posters", required_argument, NULL, OPTION_POSTERS },
    { "ahead", required_argument, NULL, OPTION_AHEAD },
    { "idle", required_argument, NULL, OPTION_IDLE },
    { "expired", required_argument, NULL, OPTION_EXPIRED },
    { "objects", required_argument, NULL, OPTION_OBJECTS },
    { "crowd", required_argument, NULL, OPTION_CROWD },
    { "open", required_argument, NULL, OPTION_OPEN },
    { "direct", required_argument, NULL, OPTION_DIRECT },
    { "direct-rate", required_argument, NULL, OPTION_DIRECT_RATE },
    { "stored", required_argument, NULL, OPTION_STORED },
    { "stall-seconds", required_argument, NULL, OPTION_STALL },
    { "followers", required_argument, NULL, OPTION_FOLLOWERS },
    { "help", no_argument, NULL, OPTION_HELP },
    { NULL, 0, NULL, 0 },
};

static void print_help(void) {
    printf("usage: bench [OPTION]... [SCENARIO]...\n\nScenarios, all by default:\n");
    for (size_t i = 0; i < SCENARIO_COUNT; i++)
        printf("  %-14s %s\n", scenarios[i].name, scenarios[i].summary);
    printf("\n"
           "  --server PATH        the binary under test (build/parley)\n"
           "  --data FOLDER        where data folders are made and removed ($TMPDIR, or /tmp); a real disk\n"
           "  --quick              a short run: fewer rows, of one second; options after it still count\n"
           "  --seconds N          of load, each row (5)\n"
           "  --text BYTES         of a message (100)\n"
           "  --connections LIST   posts: rows (1,16,128,256,384,1000); stalls: rounds (128,256,384)\n"
           "  --rate N             posts: open loop at N a second in place of closed loop; stalls: in place of half of the maximum\n"
           "  --grow               posts: rows go on with the database of the row before, in place of a fresh one each\n"
           "  --users N            posts: (64)\n"
           "  --chats N            posts: (64)\n"
           "  --members N          posts: of each chat (10)\n"
           "  --streams LIST       deliveries, machine: rows (100,1000,10000)\n"
           "  --posters N          deliveries: connections that post back to back (32)\n"
           "  --ahead EVENTS       deliveries: undelivered events at which posters wait (500000; 0: never)\n"
           "  --settle SECONDS     deliveries: without any event before the rest counts as lost (20)\n"
           "  --idle LIST          memory: rows (1000,10000,19000)\n"
           "  --expired N          cleanup: messages that are past retention (1000000)\n"
           "  --objects N          cleanup: media that go with them (10000)\n"
           "  --crowd N            crowd: streams over all nodes (60000)\n"
           "  --followers N        cost: of the channel (1000000)\n"
           "  --open N             direct, return: streams (19000)\n"
           "  --direct N           direct: chats (10000)\n"
           "  --direct-rate N      direct: posts a second (5000)\n"
           "  --stored N           history: messages in the database (10000000)\n"
           "  --stall-seconds N    stalls: of load on each number of connections (600)\n");
}

static bool parse_number(const char *text, uint32_t minimum, uint32_t maximum, uint32_t *ret_number) {
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || (*end && *end != ',') || errno || number < minimum || number > maximum)
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

static bool parse_single(const char *text, uint32_t minimum, uint32_t maximum, uint32_t *ret_number) {
    return !strchr(text, ',') && parse_number(text, minimum, maximum, ret_number);
}

static bool parse_list(const char *text, uint32_t maximum, struct size_list *ret_list) {
    struct size_list list = { 0 };
    while (text) {
        if (list.count == BENCH_SIZES_MAX || !parse_number(text, 1, maximum, &list.values[list.count++]))
            return false;
        text = strchr(text, ',');
        text = text ? text + 1 : NULL;
    }
    *ret_list = list;
    return true;
}

/* Multiples of 128 (README.md, posts). */
static const struct size_list stall_connections_default = { 3, { 128, 256, 384 } };

static void options_set_quick(struct options *options) {
    options->is_quick = true;
    options->seconds = 1;
    options->connections = (struct size_list){ 4, { 1, 128, 256, 384 } };
    options->streams = (struct size_list){ 2, { 100, 1000 } };
    options->idle_streams = (struct size_list){ 1, { 1000 } };
    options->expired_messages = 20000;
    options->expired_objects = 100;
    options->crowd_streams = 2000;
    options->direct_streams = 1000;
    options->direct_chats = 500;
    options->direct_rate = 1000;
    options->stored_messages = 200000;
    options->stall_seconds = 2;
    options->stall_connections = stall_connections_default;
    options->idle_seconds = 2;
    options->followers = 20000;
}

static struct options options_default(void) {
    const char *temporary = getenv("TMPDIR");
    return (struct options){
        .server_path = "build/parley",
        .data_parent = temporary && temporary[0] ? temporary : "/tmp",
        .seconds = 5,
        .text_bytes = 100,
        .settle_seconds = 20,
        .connections = { 6, { 1, 16, 128, 256, 384, 1000 } },
        .user_count = 64,
        .chat_count = 64,
        .members_per_chat = 10,
        .streams = { 3, { 100, 1000, 10000 } },
        .poster_count = 32,
        .events_ahead = 500000,
        .idle_streams = { 3, { 1000, 10000, 19000 } },
        .expired_messages = 1000000,
        .expired_objects = 10000,
        .crowd_streams = 60000,
        .direct_streams = 19000,
        .direct_chats = 10000,
        .direct_rate = 5000,
        .stored_messages = 10000000,
        .stall_seconds = 600,
        .stall_connections = stall_connections_default,
        .idle_seconds = 10,
        .followers = 1000000,
    };
}

static bool option_take(struct options *options, int code, const char *value) {
    switch (code) {
    case OPTION_SERVER:
        options->server_path = value;
        return true;
    case OPTION_DATA:
        options->data_parent = value;
        return true;
    case OPTION_QUICK:
        options_set_quick(options);
        return true;
    case OPTION_SECONDS:
        return parse_single(value, 1, 3600, &options->seconds);
    case OPTION_TEXT:
        return parse_single(value, POST_STAMP_BYTES, BENCH_TEXT_BYTES_MAX, &options->text_bytes);
    case OPTION_SETTLE:
        return parse_single(value, 1, 3600, &options->settle_seconds);
    case OPTION_CONNECTIONS:
        return parse_list(value, 1400, &options->connections) && parse_list(value, 1400, &options->stall_connections);
    case OPTION_RATE:
        return parse_single(value, 1, 1000000, &options->rate_per_second);
    case OPTION_GROW:
        options->grows = true;
        return true;
    case OPTION_USERS:
        return parse_single(value, 1, 1000000, &options->user_count);
    case OPTION_CHATS:
        return parse_single(value, 1, 100000, &options->chat_count);
    case OPTION_MEMBERS:
        return parse_single(value, 1, 20000, &options->members_per_chat);
    case OPTION_STREAMS:
        return parse_list(value, 20000, &options->streams);
    case OPTION_POSTERS:
        return parse_single(value, 1, 1400, &options->poster_count);
    case OPTION_AHEAD:
        return parse_single(value, 0, UINT32_MAX, &options->events_ahead);
    case OPTION_IDLE:
        return parse_list(value, 1000000, &options->idle_streams);
    case OPTION_EXPIRED:
        return parse_single(value, 1, 100000000, &options->expired_messages);
    case OPTION_OBJECTS:
        return parse_single(value, 1, 1000000, &options->expired_objects);
    case OPTION_CROWD:
        return parse_single(value, 4, 1000000, &options->crowd_streams);
    case OPTION_OPEN:
        return parse_single(value, 100, 20000, &options->direct_streams);
    case OPTION_DIRECT:
        return parse_single(value, 1, 20000, &options->direct_chats);
    case OPTION_DIRECT_RATE:
        return parse_single(value, 1, 1000000, &options->direct_rate);
    case OPTION_STORED:
        return parse_single(value, 20000, 100000000, &options->stored_messages);
    case OPTION_STALL:
        return parse_single(value, 1, 86400, &options->stall_seconds);
    case OPTION_FOLLOWERS:
        return parse_single(value, 1, 10000000, &options->followers);
    default:
        return false;
    }
}

static const struct scenario *scenario_find(const char *name) {
    for (size_t i = 0; i < SCENARIO_COUNT; i++) {
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    }
    return NULL;
}

static enum outcome options_check(struct options *options) {
    if (options->members_per_chat > options->user_count) {
        complain("--members %u needs at least as many --users", options->members_per_chat);
        return OUTCOME_FAILED;
    }
    for (size_t i = 0; i < options->scenario_count; i++) {
        if (!scenario_find(options->scenario_names[i])) {
            complain("no scenario %s; see --help", options->scenario_names[i]);
            return OUTCOME_FAILED;
        }
    }
    return OUTCOME_OK;
}

static enum outcome options_parse(int argc, char **argv, struct options *ret_options, bool *ret_help) {
    struct options options = options_default();
    int code, index = 0;
    *ret_help = false;
    while ((code = getopt_long(argc, argv, "", option_names, &index)) >= 0) {
        if (code == OPTION_HELP) {
            *ret_help = true;
            return OUTCOME_OK;
        }
        if (!option_take(&options, code, optarg)) {
            complain("%s: see --help", code == '?' ? "unknown option" : option_names[index].name);
            return OUTCOME_FAILED;
        }
    }
    for (; optind < argc && options.scenario_count < BENCH_SIZES_MAX; optind++)
        options.scenario_names[options.scenario_count++] = argv[optind];
    *ret_options = options;
    return options_check(ret_options);
}

/* ---- The run ---- */

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit))
            complain("cannot raise the limit of descriptors: %s", strerror(errno));
    }
}

static bool is_selected(const struct options *options, const char *name) {
    for (size_t i = 0; i < options->scenario_count; i++) {
        if (strcmp(options->scenario_names[i], name) == 0)
            return true;
    }
    return options->scenario_count == 0;
}

static bool run_scenarios(const struct options *options) {
    bool passed = true;
    for (size_t i = 0; i < SCENARIO_COUNT && !bench_interrupted(); i++) {
        if (!is_selected(options, scenarios[i].name))
            continue;
        if (scenarios[i].run(options)) {
            complain("%s: failed", scenarios[i].name);
            passed = false;
        }
    }
    return passed && !bench_interrupted();
}

int main(int argc, char **argv) {
    struct options options;
    bool help;
    if (options_parse(argc, argv, &options, &help))
        return 2;
    if (help) {
        print_help();
        return 0;
    }
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    raise_descriptor_limit();
    report_header(&options);
    bool passed = run_scenarios(&options);
    goals_print(&options);
    if (plots_write())
        passed = false;
    printf("\n%s\n", passed ? "passed" : "failed");
    return passed ? 0 : 1;
}
