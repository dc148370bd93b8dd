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

static struct timespec moment_after(int64_t delay_us) {
    int64_t then_us = clock_monotonic_us() + delay_us;
    return (struct timespec){ .tv_sec = then_us / 1000000, .tv_nsec = then_us % 1000000 * 1000 };
}

struct timespec clock_deadline(int64_t delay_ms) {
    return moment_after(delay_ms * 1000);
}

void clock_sleep_ms(int64_t duration_ms) { clock_sleep_us(duration_ms * 1000); }

void clock_sleep_us(int64_t duration_us) {
    struct timespec then = moment_after(duration_us);
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

/* ---- Reading ---- */

/* Exactly `count` digits; false when there are others. Moves on behind them. */
static bool take_digits(const char **cursor, const char *end, unsigned count, unsigned *ret_number) {
    unsigned number = 0;
    for (; count > 0 && *cursor < end && **cursor >= '0' && **cursor <= '9'; count--)
        number = number * 10 + (unsigned)(*(*cursor)++ - '0');
    *ret_number = number;
    return count == 0;
}

static bool take_one_of(const char **cursor, const char *end, const char *characters) {
    return *cursor < end && **cursor != '\0' && strchr(characters, *(*cursor)++) != NULL;
}

static unsigned days_of_month(const struct date *date) {
    static const unsigned char DAYS[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = date->year % 4 == 0 && (date->year % 100 != 0 || date->year % 400 == 0);
    return DAYS[date->month - 1] + (date->month == 2 && leap);
}

/* Days since 1970-01-01 of a date from then on. */
static int64_t day_of_date(const struct date *date) {
    int64_t years = (int64_t)date->year - 1970;
    int64_t leaps = (int64_t)(date->year - 1) / 4 - (date->year - 1) / 100 + (date->year - 1) / 400 - 477; /* before 1970 there were 477 */
    int64_t day = years * 365 + leaps + date->day - 1;
    for (struct date month = { date->year, 1, 1 }; month.month < date->month; month.month++)
        day += days_of_month(&month);
    return day;
}

static bool take_date(const char **cursor, const char *end, int64_t *ret_day) {
    struct date date;
    bool shaped = take_digits(cursor, end, 4, &date.year) && take_one_of(cursor, end, "-") && take_digits(cursor, end, 2, &date.month) &&
                  take_one_of(cursor, end, "-") && take_digits(cursor, end, 2, &date.day);
    if (!shaped || date.year < 1970 || date.month < 1 || date.month > 12 || date.day < 1 || date.day > days_of_month(&date))
        return false;
    *ret_day = day_of_date(&date);
    return true;
}

/* A fraction of a second, if there is one. */
static bool take_fraction(const char **cursor, const char *end, unsigned *ret_ms) {
    unsigned weight = 100, digit;
    *ret_ms = 0;
    if (*cursor == end || **cursor != '.')
        return true;
    (*cursor)++;
    const char *first = *cursor;
    for (; take_digits(cursor, end, 1, &digit); weight /= 10)
        *ret_ms += digit * weight;
    return *cursor > first;
}

static bool take_time(const char **cursor, const char *end, int64_t *ret_ms) {
    unsigned hour, minute, second, ms;
    bool shaped = take_digits(cursor, end, 2, &hour) && take_one_of(cursor, end, ":") && take_digits(cursor, end, 2, &minute) &&
                  take_one_of(cursor, end, ":") && take_digits(cursor, end, 2, &second) && take_fraction(cursor, end, &ms);
    if (!shaped || hour > 23 || minute > 59 || second > 59)
        return false;
    *ret_ms = ((int64_t)hour * 3600 + minute * 60 + second) * 1000 + ms;
    return true;
}

/* Z, or how far the local time is ahead of UTC. */
static bool take_offset(const char **cursor, const char *end, int64_t *ret_ms) {
    unsigned hour, minute;
    const char *sign = *cursor;
    *ret_ms = 0;
    if (!take_one_of(cursor, end, "Zz+-"))
        return false;
    if (*sign == 'Z' || *sign == 'z')
        return true;
    if (!take_digits(cursor, end, 2, &hour) || !take_one_of(cursor, end, ":") || !take_digits(cursor, end, 2, &minute) || hour > 23 ||
        minute > 59)
        return false;
    *ret_ms = (*sign == '-' ? -1 : 1) * ((int64_t)hour * 3600 + minute * 60) * 1000;
    return true;
}

bool clock_parse(const char *text, size_t size, int64_t *ret_time_ms) {
    const char *cursor = text, *end = text + size;
    int64_t day, ms, offset_ms;
    if (!take_date(&cursor, end, &day) || !take_one_of(&cursor, end, "Tt ") || !take_time(&cursor, end, &ms) ||
        !take_offset(&cursor, end, &offset_ms))
        return false;
    int64_t time_ms = day * MS_PER_DAY + ms - offset_ms;
    if (cursor != end || time_ms <= 0)
        return false;
    *ret_time_ms = time_ms;
    return true;
}
