#include "fanout.h"

#include "process.h"

#define EXTRA_READ_NS (200 * NS_PER_MS) /* for events that should not come */
#define SETTLE_POLL_MS 1

/* The load's driver: the given one, with the bound. */
struct gate {
    const struct fanout *fanout;
    uint64_t received_before;
    uint64_t posted; /* requests begun */
};

static size_t gate_write_request(void *context, uint32_t connection, uint64_t time_ns, char *bytes) {
    struct gate *gate = context;
    gate->posted++;
    return gate->fanout->plan.driver->write_request(gate->fanout->plan.context, connection, time_ns, bytes);
}

static bool gate_may_send(void *context) {
    const struct gate *gate = context;
    const struct fanout *fanout = gate->fanout;
    uint64_t events = (gate->posted + 1) * fanout->stream_count;
    return fanout->events_ahead == 0 || events <= streams_received(fanout->streams) - gate->received_before + fanout->events_ahead;
}

static bool gate_on_answer(void *context, const char *body, size_t len) {
    const struct load_plan *plan = &((struct gate *)context)->fanout->plan;
    return !plan->driver->on_answer || plan->driver->on_answer(plan->context, body, len);
}

static const struct load_driver gate_driver = {
    .write_request = gate_write_request,
    .may_send = gate_may_send,
    .on_answer = gate_on_answer,
};

/* Waits until all that was answered came, or nothing comes any more. */
static void settle(const struct gate *gate, uint64_t answered) {
    const struct fanout *fanout = gate->fanout;
    uint64_t expected = gate->received_before + answered * fanout->stream_count, progress_ns = now_ns();
    while (streams_received(fanout->streams) < expected && !bench_interrupted()) {
        uint64_t last_ns = streams_last_received_ns(fanout->streams);
        progress_ns = last_ns > progress_ns ? last_ns : progress_ns;
        if (now_ns() > progress_ns + fanout->settle_ns)
            return;
        process_sleep_ms(SETTLE_POLL_MS);
    }
}

enum outcome fanout_run(const struct fanout *fanout, struct load_result *result, struct fanout_result *ret_result) {
    struct gate gate = { .fanout = fanout, .received_before = streams_received(fanout->streams) };
    struct load_plan plan = fanout->plan;
    plan.driver = &gate_driver;
    plan.context = &gate;
    uint64_t cpu_before_ns = process_read_group_cpu_ns(fanout->server_pid);
    if (streams_start_reader(fanout->streams))
        return OUTCOME_FAILED;
    enum outcome outcome = http_load_run(&plan, result);
    ret_result->posting_events = streams_received(fanout->streams) - gate.received_before;
    ret_result->posting_ns = now_ns() - result->start_ns;
    settle(&gate, result->answered);
    streams_stop_reader(fanout->streams);
    ret_result->cpu_ns = process_read_group_cpu_ns(fanout->server_pid) - cpu_before_ns;
    uint64_t last_ns = streams_last_received_ns(fanout->streams);
    ret_result->duration_ns = last_ns > result->start_ns ? last_ns - result->start_ns : 0;
    streams_read_for(fanout->streams, EXTRA_READ_NS);
    ret_result->events = streams_received(fanout->streams) - gate.received_before;
    return outcome;
}
