#include "histogram.h"

#define LINEAR_BUCKETS (1u << HISTOGRAM_LINEAR_BITS)

/* Values below two powers of two have a bucket each; above, each doubling shares LINEAR_BUCKETS of them. */
static unsigned bucket_shift(uint64_t value) {
    if (value < LINEAR_BUCKETS)
        return 0;
    return 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_LINEAR_BITS;
}

static uint64_t bucket_highest(uint64_t bucket) {
    if (bucket < 2 * LINEAR_BUCKETS)
        return bucket;
    unsigned shift = (unsigned)(bucket / LINEAR_BUCKETS) - 1;
    uint64_t lowest = (bucket - (uint64_t)shift * LINEAR_BUCKETS) << shift;
    return lowest + (UINT64_C(1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value_ns) {
    uint64_t limit = (UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1;
    uint64_t value = value_ns < limit ? value_ns : limit;
    unsigned shift = bucket_shift(value);
    histogram->buckets[(uint64_t)shift * LINEAR_BUCKETS + (value >> shift)]++;
    histogram->count++;
    if (value_ns > histogram->max_ns)
        histogram->max_ns = value_ns;
}

void histogram_add(struct histogram *histogram, const struct histogram *other) {
    for (uint64_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
        histogram->buckets[bucket] += other->buckets[bucket];
    histogram->count += other->count;
    if (other->max_ns > histogram->max_ns)
        histogram->max_ns = other->max_ns;
}

uint64_t histogram_percentile(const struct histogram *histogram, uint32_t parts_per_million) {
    uint64_t wanted = (histogram->count * parts_per_million + 999999) / 1000000;
    uint64_t seen = 0;
    for (uint64_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= wanted && seen > 0) {
            uint64_t highest = bucket_highest(bucket);
            return highest < histogram->max_ns ? highest : histogram->max_ns;
        }
    }
    return histogram->max_ns;
}

double histogram_percentile_ms(const struct histogram *histogram, uint32_t parts_per_million) {
    return (double)histogram_percentile(histogram, parts_per_million) / 1e6;
}
