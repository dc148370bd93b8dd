/* Runs a fuzz target without libFuzzer: every file of its corpus as it is, then mutations of them for a while.
 *
 * usage: NAME_fuzz [--seconds N] [--seed N] FILE... ; a crash leaves the input in NAME_fuzz.crash */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/random.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_BYTES (64 * 1024) /* the longest input */
#define FILES_MAX 256
#define CHANGES_MAX 8 /* of one mutation */

struct input {
    uint8_t *bytes; /* owned */
    size_t size;
};

static struct input corpus[FILES_MAX];
static size_t corpus_count;
static uint8_t bytes[INPUT_BYTES]; /* the input that runs */
static size_t size;
static char crash_path[512];

static uint64_t state; /* xorshift64: a seed repeats a run */

static uint64_t below(uint64_t bound) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % bound;
}

/* Async-signal-safe: keeps what made it crash. */
static void keep_input(int signal_number) {
    FILE *file = fopen(crash_path, "wb");
    if (file != NULL) {
        fwrite(bytes, 1, size, file);
        fclose(file);
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void read_input(const char *path) {
    struct stat status;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fstat(fileno(file), &status) != 0 || status.st_size > INPUT_BYTES || corpus_count == FILES_MAX) {
        fprintf(stderr, "%s: cannot be used: %s\n", path, strerror(errno));
        exit(2);
    }
    struct input *input = &corpus[corpus_count++];
    input->bytes = malloc((size_t)status.st_size + 1);
    input->size = fread(input->bytes, 1, (size_t)status.st_size, file);
    fclose(file);
}

/* Replaces `removed` bytes at `at` by `added` ones. */
static void splice(size_t at, size_t removed, const void *insertion, size_t added) {
    if (removed > size - at)
        removed = size - at;
    if (size - removed + added > INPUT_BYTES)
        return;
    memmove(bytes + at + added, bytes + at + removed, size - at - removed);
    memcpy(bytes + at, insertion, added);
    size = size - removed + added;
}

static void change(void) {
    static const char *const tokens[] = {
        "\"",   "\\", "{",     "}",   "[",   "]", ",", ":", "\\u0000",      "\\ud800",          "\\udc00",  "null",
        "true", "-1", "1e999", "%00", "%2f", "&", "=", "/", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80", "\xff",
    };
    uint8_t random_byte = (uint8_t)below(256), piece[64];
    const char *token = tokens[below(sizeof(tokens) / sizeof(tokens[0]))];
    const struct input *other = &corpus[below(corpus_count)];
    size_t at = below(size + 1), start = below(other->size + 1), length = below(sizeof(piece));

    switch (below(6)) {
    case 0:
        splice(at, 1, &random_byte, 1);
        break;
    case 1:
        splice(at, 0, &random_byte, 1);
        break;
    case 2:
        splice(at, length, "", 0);
        break;
    case 3:
        splice(at, below(2), token, strlen(token));
        break;
    case 4:
        length = length < size - at ? length : size - at;
        memcpy(piece, bytes + at, length);
        splice(below(size + 1), 0, piece, length);
        break;
    case 5:
        length = length < other->size - start ? length : other->size - start;
        splice(at, below(2) * length, other->bytes + start, length);
        break;
    }
}

static void run(const struct input *input, unsigned changes) {
    memcpy(bytes, input->bytes, input->size);
    size = input->size;
    while (changes-- > 0)
        change();
    /* A copy of exactly its size, so that the sanitizer sees a byte too many. */
    uint8_t *exact = malloc(size);
    memcpy(exact, bytes, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void catch_crashes(const char *program) {
    static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    snprintf(crash_path, sizeof(crash_path), "%s.crash", program);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], keep_input);
}

int main(int argument_count, char **arguments) {
    static const struct option options[] = { { "seconds", required_argument, NULL, 't' },
                                             { "seed", required_argument, NULL, 's' },
                                             { NULL, 0, NULL, 0 } };
    int64_t duration_ms = 5000;
    uint64_t seed = random_u64(), runs = 0;

    for (int option; (option = getopt_long(argument_count, arguments, "", options, NULL)) != -1;) {
        if (option == 't')
            duration_ms = strtoll(optarg, NULL, 10) * 1000;
        else if (option == 's')
            seed = strtoull(optarg, NULL, 10);
        else
            return 2;
    }
    for (int i = optind; i < argument_count; i++)
        read_input(arguments[i]);
    if (corpus_count == 0) {
        fprintf(stderr, "usage: %s [--seconds N] [--seed N] FILE...\n", arguments[0]);
        return 2;
    }

    catch_crashes(arguments[0]);
    state = seed | 1;
    for (size_t i = 0; i < corpus_count; i++)
        run(&corpus[i], 0);
    for (int64_t end_ms = clock_monotonic_ms() + duration_ms; clock_monotonic_ms() < end_ms; runs++)
        run(&corpus[below(corpus_count)], 1 + (unsigned)below(CHANGES_MAX));
    printf("%s: %zu files, %llu mutations of them (seed %llu)\n", arguments[0], corpus_count, (unsigned long long)runs,
           (unsigned long long)seed);
    for (size_t i = 0; i < corpus_count; i++)
        free(corpus[i].bytes);
    return 0;
}
