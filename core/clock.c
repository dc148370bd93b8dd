/* See clock.h. The only caller of clock_gettime(), and the arithmetic from milliseconds to a date. */
#include "core/clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "core/fault.h"

#define MS_PER_DAY (INT64_C(24) * 3600 * 1000)

static int64_t read_clock_us(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_now_ms(void) {
    int64_t now_ms = read_clock_us(CLOCK_REALTIME) / 1000;
#ifdef PARLEY_FAULTS
    now_ms += fault_clock_offset_ms();
#endif
    return now_ms;
}

int64_t clock_monotonic_ms(void) { return clock_monotonic_us() / 1000; }

int64_t clock_monotonic_us(void) { return read_clock_us(CLOCK_MONOTONIC); }

struct timespec clock_deadline(int64_t delay_ms) {
    int64_t then_us = clock_monotonic_us() + delay_ms * 1000;
    return (struct timespec){ .tv_sec = then_us / 1000000, .tv_nsec = then_us % 1000000 * 1000 };
}

void clock_sleep_ms(int64_t duration_ms) {
    struct timespec then = clock_deadline(duration_ms);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL) == EINTR)
        ;
}

struct date {
    unsigned year;
    unsigned month;
    unsigned day;
};

/* The proleptic Gregorian date of a day counted from 1970-01-01. Years are taken to begin on 1 March, so that the leap day is a year's last and
 * months follow one formula (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days). */
static struct date date_of_day(int64_t day) {
    const int64_t days_per_era = 146097; /* 400 years */
    int64_t from_march_0000 = day + 719468;
    int64_t era = (from_march_0000 >= 0 ? from_march_0000 : from_march_0000 - (days_per_era - 1)) / days_per_era;
    unsigned day_of_era = (unsigned)(from_march_0000 - era * days_per_era);
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;

    struct date date = {
        .month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
    date.year = (unsigned)(era * 400) + year_of_era + (date.month <= 2);
    return date;
}

/* Writes `count` decimal digits ending before `end`. */
static void put_digits(char *end, unsigned count, unsigned number) {
    while (count-- > 0) {
        *--end = (char)('0' + number % 10);
        number /= 10;
    }
}

size_t clock_format(int64_t time_ms, char out[CLOCK_RFC3339_SIZE]) {
    /* RFC 3339 has years 0000 to 9999. */
    const int64_t first_ms = INT64_C(-62167219200000), last_ms = INT64_C(253402300799999);
    time_ms = time_ms < first_ms ? first_ms : time_ms > last_ms ? last_ms : time_ms;

    int64_t day = time_ms / MS_PER_DAY - (time_ms % MS_PER_DAY < 0);
    unsigned ms_of_day = (unsigned)(time_ms - day * MS_PER_DAY);
    struct date date = date_of_day(day);

    static const char shape[CLOCK_RFC3339_SIZE] = "0000-00-00T00:00:00.000Z";
    memcpy(out, shape, sizeof(shape));
    put_digits(out + 4, 4, date.year);
    put_digits(out + 7, 2, date.month);
    put_digits(out + 10, 2, date.day);
    put_digits(out + 13, 2, ms_of_day / 3600000);
    put_digits(out + 16, 2, ms_of_day / 60000 % 60);
    put_digits(out + 19, 2, ms_of_day / 1000 % 60);
    put_digits(out + 23, 3, ms_of_day % 1000);
    return CLOCK_RFC3339_SIZE - 1;
}
