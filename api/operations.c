/* Owns the handlers for whoever runs the server: health and metrics. */
#include "api/handlers.h"
#include "api/server_internal.h"
#include "core/metrics.h"

static enum err answer_status(struct request *request, const char *status) {
    struct buf *buf = answer_json(request, 200);
    buf_char(buf, '{');
    json_member_string(buf, "status", status);
    buf_char(buf, '}');
    return OK;
}

enum err show_health(struct request *request) { return answer_status(request, "ok"); }

enum err show_readiness(struct request *request) {
    if (request->server->draining)
        return request_refuse(request, ERR_DRAINING, NULL, "the server is shutting down");
    if (!store_healthy(request->server->store))
        return request_refuse(request, ERR_DATABASE_UNAVAILABLE, NULL, "the last write failed");
    return answer_status(request, "ready");
}

enum err show_metrics(struct request *request) {
    request->answer.status = 200;
    request->answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_render(&request->answer.body);
    return OK;
}
