/* The report on stdout: what machine and version it is about, then a plain aligned table for each scenario. Main thread. */
#pragma once

#include <stdint.h>

#include "bench.h"
#include "histogram.h"

#define TABLE_COLUMNS_MAX 16
#define TABLE_ROWS_MAX (2 * BENCH_SIZES_MAX)
#define TABLE_CELL_BYTES 64

struct table {
    const char *title;
    const char *const *columns; /* names, ended by NULL; borrowed */
    size_t row_count;
    size_t cell_count; /* of the row being filled */
    char cells[TABLE_ROWS_MAX][TABLE_COLUMNS_MAX][TABLE_CELL_BYTES];
};

/* Processor, cores, memory, kernel, file system under `options->data_parent`, git commit, time, and names of inherited settings. */
void report_header(const struct options *options);

/* `columns` is at most TABLE_COLUMNS_MAX names and a NULL, and outlives the table. */
void table_start(struct table *table, const char *title, const char *const *columns);
/* Appends a cell to the row; the row is finished when every column has its cell. */
void table_cell(struct table *table, const char *format, ...) PRINTF_LIKE(2, 3);
/* A number with its thousands separated: 20,000. */
void table_format_count(uint64_t value, char *out, size_t capacity);
void table_count(struct table *table, uint64_t value);
/* Six cells: p50, p90, p99, p99.9, p99.99 and the maximum, in milliseconds. */
void table_latencies(struct table *table, const struct histogram *histogram);
/* The names of those columns. */
#define TABLE_LATENCY_COLUMNS "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "p99.99 ms", "max ms"
#define TABLE_LATENCY_CELLS 6
/* Numbers to the right, the first and the last column to the left. */
void table_print(const struct table *table);
