/* See redis_url.h. */
#include "core/redis_url.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PORT_MAX 65535
#define DATABASE_MAX 65535
#define DIGITS_MAX 9

/* A piece of the URL, not decoded yet. */
struct span {
    const char *text;
    size_t size;
};

struct parse {
    struct redis_url url;
    const char *wrong; /* static */
};

static enum err refuse(struct parse *parse, const char *wrong) {
    parse->wrong = wrong;
    return ERR_CONFIG;
}

static bool begins_with(struct span span, const char *word) {
    size_t size = strlen(word);
    return span.size >= size && memcmp(span.text, word, size) == 0;
}

static struct span skip(struct span span, size_t size) { return (struct span){ span.text + size, span.size - size }; }

/* Splits at the first `mark`, which goes: what is before it is returned, what follows stays in `rest`. Without one everything is before. */
static struct span split(struct span *rest, char mark) {
    size_t size = 0;
    while (size < rest->size && rest->text[size] != mark)
        size++;
    struct span before = { rest->text, size };
    *rest = skip(*rest, size < rest->size ? size + 1 : size);
    return before;
}

static int hex_value(char character) {
    static const char DIGITS[] = "0123456789abcdef";
    const char *found = character != '\0' ? strchr(DIGITS, character >= 'A' && character <= 'F' ? character | 0x20 : character) : NULL;
    return found != NULL ? (int)(found - DIGITS) : -1;
}

/* The character at the start of the span, which may be written as %XX; -1 when that is none, or the end of a string. */
static int take_character(struct span *span) {
    int character = (unsigned char)span->text[0];
    size_t size = character == '%' ? 3 : 1;
    if (size > span->size)
        return -1;
    if (size == 3) {
        int high = hex_value(span->text[1]), low = hex_value(span->text[2]);
        character = high < 0 || low < 0 ? -1 : high << 4 | low;
    }
    *span = skip(*span, size);
    return character > 0 ? character : -1;
}

/* `field` holds NULL, or what was said before. */
static enum err decode(struct parse *parse, struct span span, char **field) {
    char *text = malloc(span.size + 1);
    if (text == NULL)
        return ERR_NO_MEMORY;
    size_t size = 0;
    while (span.size > 0) {
        int character = take_character(&span);
        if (character < 0) {
            explicit_bzero(text, size);
            free(text);
            return refuse(parse, "has a % without two hexadecimal digits behind it; % itself is written as %25");
        }
        text[size++] = (char)character;
    }
    text[size] = '\0';
    free(*field);
    *field = text;
    return OK;
}

static bool read_number(struct span span, unsigned max, unsigned *ret_number) {
    unsigned number = 0;
    if (span.size == 0 || span.size > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < span.size; i++) {
        if (span.text[i] < '0' || span.text[i] > '9')
            return false;
        number = number * 10 + (unsigned)(span.text[i] - '0');
    }
    if (number > max)
        return false;
    *ret_number = number;
    return true;
}

static enum err take_port(struct parse *parse, struct span span) {
    if (read_number(span, PORT_MAX, &parse->url.port) && parse->url.port > 0)
        return OK;
    return refuse(parse, "has a port that is no number from 1 to 65535; / @ : ? in a password are written as %2F %40 %3A %3F");
}

/* host, host:port or [address]:port. */
static enum err take_host(struct parse *parse, struct span span) {
    bool is_bracketed = begins_with(span, "[");
    struct span inner = is_bracketed ? skip(span, 1) : span;
    struct span host = split(&inner, is_bracketed ? ']' : ':');
    bool has_port = is_bracketed ? inner.size > 0 : host.size < span.size;
    if (host.size == 0)
        return refuse(parse, "names no host");
    if (is_bracketed && has_port && split(&inner, ':').size > 0)
        return refuse(parse, "has something else than a port after the host's brackets");
    enum err err = has_port ? take_port(parse, inner) : OK;
    return err == OK ? decode(parse, host, &parse->url.host) : err;
}

static enum err take_user(struct parse *parse, struct span span) {
    struct span user = split(&span, ':');
    enum err err = decode(parse, user, &parse->url.user);
    return err == OK ? decode(parse, span, &parse->url.password) : err;
}

/* An @ in the password is no harm: hosts have none. */
static enum err take_authority(struct parse *parse, struct span span) {
    size_t user_size = span.size;
    while (user_size > 0 && span.text[user_size - 1] != '@')
        user_size--;
    enum err err = user_size > 0 ? take_user(parse, (struct span){ span.text, user_size - 1 }) : OK;
    return err == OK ? take_host(parse, skip(span, user_size)) : err;
}

static enum err take_database(struct parse *parse, struct span span) {
    if (span.size == 0 || read_number(span, DATABASE_MAX, &parse->url.database))
        return OK;
    return refuse(parse, "has something else than a database's number after the slash");
}

static enum err take_option(struct parse *parse, struct span option) {
    static const char NAME[] = "password_file=";
    if (!begins_with(option, NAME) || option.size == strlen(NAME))
        return refuse(parse, "has an option that is not password_file=PATH");
    return decode(parse, skip(option, strlen(NAME)), &parse->url.password_file);
}

static enum err check_together(struct parse *parse) {
    struct redis_url *url = &parse->url;
    bool has_password = url->password[0] != '\0';
    if (has_password && url->password_file != NULL)
        return refuse(parse, "has a password and a password_file, which exclude each other");
    if (url->user[0] != '\0' && !has_password && url->password_file == NULL)
        return refuse(parse, "has a user without a password; a password alone is written as :password@");
    return OK;
}

static enum err parse_all(struct parse *parse, const char *text) {
    struct span rest = { text, strlen(text) };
    if (begins_with(rest, "rediss:"))
        return refuse(parse, "asks for TLS, which this build does not speak to Redis");
    if (!begins_with(rest, "redis://"))
        return refuse(parse, "is not redis://USER:PASSWORD@HOST:PORT/NUMBER");
    rest = skip(rest, strlen("redis://"));
    struct span place = split(&rest, '?');
    struct span authority = split(&place, '/');
    bool has_option = place.text + place.size < text + strlen(text);
    enum err err = decode(parse, (struct span){ "", 0 }, &parse->url.user);
    if (err == OK)
        err = decode(parse, (struct span){ "", 0 }, &parse->url.password);
    if (err == OK)
        err = take_authority(parse, authority);
    if (err == OK)
        err = take_database(parse, place);
    if (err == OK && has_option)
        err = take_option(parse, rest);
    return err == OK ? check_together(parse) : err;
}

enum err redis_url_parse(const char *text, struct redis_url *ret_url, const char **ret_problem) {
    struct parse parse = { .url = { .port = REDIS_DEFAULT_PORT }, .wrong = "needs more memory than there is" };
    enum err err = parse_all(&parse, text);
    if (err == OK) {
        *ret_url = parse.url;
        return OK;
    }
    redis_url_release(&parse.url);
    *ret_problem = parse.wrong;
    return err;
}

void redis_url_release(struct redis_url *url) {
    if (url->password != NULL)
        explicit_bzero(url->password, strlen(url->password));
    free(url->user);
    free(url->password);
    free(url->password_file);
    free(url->host);
    *url = (struct redis_url){ 0 };
}

const char *redis_url_problem(const char *text) {
    struct redis_url url;
    const char *problem;
    if (redis_url_parse(text, &url, &problem) != OK)
        return problem;
    redis_url_release(&url);
    return NULL;
}
