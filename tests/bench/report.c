#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "http.h"

#define HEADER_TEXT_BYTES 128

extern char **environ;

/* ---- What the figures are about ---- */

static void trim_line_end(char *text) { text[strcspn(text, "\n")] = '\0'; }

static void processor_model(char out[HEADER_TEXT_BYTES]) {
    snprintf(out, HEADER_TEXT_BYTES, "unknown processor");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file)
        return;
    char line[256];
    while (fgets(line, sizeof line, file)) {
        char *value = strncmp(line, "model name", strlen("model name")) == 0 ? strchr(line, ':') : NULL;
        if (!value)
            continue;
        trim_line_end(value);
        snprintf(out, HEADER_TEXT_BYTES, "%.100s", value + strspn(value, ": "));
        break;
    }
    fclose(file);
}

/* The first line that a shell command prints; empty when it fails. */
static void command_line_output(const char *command, char out[HEADER_TEXT_BYTES]) {
    out[0] = '\0';
    FILE *pipe = popen(command, "re");
    if (!pipe)
        return;
    if (!fgets(out, HEADER_TEXT_BYTES, pipe))
        out[0] = '\0';
    pclose(pipe);
    trim_line_end(out);
}

static void commit_name(char out[2 * HEADER_TEXT_BYTES]) {
    char commit[HEADER_TEXT_BYTES], change[HEADER_TEXT_BYTES];
    command_line_output("git rev-parse --short HEAD 2>/dev/null", commit);
    command_line_output("git --no-optional-locks status --porcelain 2>/dev/null", change);
    snprintf(out, 2 * HEADER_TEXT_BYTES, "%s%s", commit[0] ? commit : "none yet", commit[0] && change[0] ? "-dirty" : "");
}

static const char *file_system_name(const char *folder) {
    static const struct {
        unsigned long magic;
        const char *name;
    } names[] = {
        { 0xef53, "ext4" },
        { 0x58465342, "xfs" },
        { 0x9123683e, "btrfs" },
        { 0x794c7630, "overlayfs" },
        { 0x01021994, "tmpfs, which keeps nothing: its commits are not durable" },
    };
    struct statfs status;
    if (statfs(folder, &status))
        return "an unknown file system";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((unsigned long)status.f_type == names[i].magic)
            return names[i].name;
    }
    return "another file system";
}

/* Names only: a value may hold a password. */
static void print_inherited_settings(void) {
    const char *separator = "settings  ";
    for (char **entry = environ; *entry; entry++) {
        if (strncmp(*entry, "PARLEY_", strlen("PARLEY_")) != 0)
            continue;
        printf("%s%.*s", separator, (int)strcspn(*entry, "="), *entry);
        separator = ", ";
    }
    if (separator[0] == ',')
        printf(" are inherited\n");
}

void report_header(const struct options *options) {
    char model[HEADER_TEXT_BYTES], commit[2 * HEADER_TEXT_BYTES], date[32], congestion_control[HTTP_CONGESTION_BYTES];
    processor_model(model);
    commit_name(commit);
    http_congestion_control(congestion_control);
    struct utsname kernel = { 0 };
    struct sysinfo memory = { 0 };
    if (uname(&kernel) || sysinfo(&memory))
        complain("the kernel does not tell its version or memory");
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);

    printf("machine   %s, %ld cores, %.1f GiB, %s %s\n", model, sysconf(_SC_NPROCESSORS_ONLN),
           (double)memory.totalram * memory.mem_unit / (1 << 30), kernel.sysname, kernel.release);
    printf("data      on %s\n", file_system_name(options->data_parent));
    printf("network   loopback; congestion control %s, but reno on the load generator's sockets where the way is short\n",
           congestion_control);
    printf("commit    %s\n", commit);
    printf("date      %s\n", date);
    print_inherited_settings();
    fflush(stdout);
}

/* ---- Tables ---- */

void table_start(struct table *table, const char *title, const char *const *columns) {
    *table = (struct table){ .title = title, .columns = columns };
}

static size_t table_column_count(const struct table *table) {
    size_t count = 0;
    while (table->columns[count])
        count++;
    return count;
}

void table_cell(struct table *table, const char *format, ...) {
    if (table->row_count == TABLE_ROWS_MAX)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(table->cells[table->row_count][table->cell_count], TABLE_CELL_BYTES, format, arguments);
    va_end(arguments);
    if (++table->cell_count == table_column_count(table)) {
        table->cell_count = 0;
        table->row_count++;
    }
}

void table_format_count(uint64_t value, char *out, size_t capacity) {
    char digits[24];
    size_t len = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    size_t written = 0;
    for (size_t i = 0; i < len && written + 2 < capacity; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[written++] = ',';
        out[written++] = digits[i];
    }
    out[written] = '\0';
}

void table_count(struct table *table, uint64_t value) {
    char text[TABLE_CELL_BYTES];
    table_format_count(value, text, sizeof text);
    table_cell(table, "%s", text);
}

void table_latencies(struct table *table, const struct histogram *histogram) {
    static const uint32_t parts_per_million[] = { 500000, 900000, 990000, 999000, 999900, 1000000 };
    for (size_t i = 0; i < TABLE_LATENCY_CELLS; i++)
        table_cell(table, "%.2f", (double)histogram_percentile(histogram, parts_per_million[i]) / NS_PER_MS);
}

static int table_column_width(const struct table *table, size_t column) {
    size_t width = strlen(table->columns[column]);
    for (size_t row = 0; row < table->row_count; row++) {
        size_t len = strlen(table->cells[row][column]);
        width = len > width ? len : width;
    }
    return (int)width;
}

static void table_print_row(const struct table *table, const char *(*text_of)(const struct table *, size_t, size_t), size_t row) {
    size_t column_count = table_column_count(table);
    for (size_t column = 0; column < column_count; column++) {
        const char *text = text_of(table, row, column);
        if (column + 1 == column_count)
            printf("  %s", text);
        else if (column == 0)
            printf("%-*s", table_column_width(table, column), text);
        else
            printf("  %*s", table_column_width(table, column), text);
    }
    printf("\n");
}

static const char *column_name(const struct table *table, size_t row, size_t column) {
    (void)row;
    return table->columns[column];
}

static const char *cell_text(const struct table *table, size_t row, size_t column) { return table->cells[row][column]; }

void table_print(const struct table *table) {
    printf("\n%s\n\n", table->title);
    table_print_row(table, column_name, 0);
    for (size_t row = 0; row < table->row_count; row++)
        table_print_row(table, cell_text, row);
    fflush(stdout);
}
