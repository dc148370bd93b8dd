/* The route table: the one place that says which requests exist. */
#pragma once

#include "api/request.h"

extern const struct route ROUTES[];
extern const size_t ROUTE_COUNT;

/* Builds the index over the table and registers the routes with the metrics; once, before the first request. */
void routes_start(void);
/* Sets request->route, ->allowed and ->ids from its method and path. */
void routes_match(struct request *request);
/* Counts an answered request under its route; `duration_us` since its head was there. */
void routes_count(const struct request *request, int64_t duration_us);
/* "GET, HEAD, OPTIONS" in the request's arena. */
const char *routes_allow(struct request *request);
