/* See mariadb_url.h. */
#include "db/mariadb_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_MAX 65535

/* A piece of the URL, not decoded yet. */
struct part {
    const char *text;
    size_t size;
};

struct parse {
    struct mariadb_url url;
    const char *wrong; /* static */
};

static enum err refuse(struct parse *parse, const char *wrong) {
    parse->wrong = wrong;
    return ERR_CONFIG;
}

/* What comes before the first `mark`; `rest` becomes what follows it. Without a mark that is everything, and nothing. */
static struct part cut(struct part *rest, char mark) {
    struct part first = *rest;
    const char *found = memchr(rest->text, mark, rest->size);
    first.size = found ? (size_t)(found - rest->text) : rest->size;
    size_t taken = first.size + (found != NULL);
    *rest = (struct part){ rest->text + taken, rest->size - taken };
    return first;
}

static bool contains(struct part part, char character) { return memchr(part.text, character, part.size) != NULL; }

static bool equals(struct part part, const char *word) { return part.size == strlen(word) && memcmp(part.text, word, part.size) == 0; }

/* -1: no hexadecimal digit. */
static int digit_of(char character) {
    if (character >= '0' && character <= '9')
        return character - '0';
    char lower = (char)(character | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that a %XX stands for; 0 when it stands for none, or for the end of a string. */
static char byte_of(const char *text, size_t size) {
    int high = size > 2 ? digit_of(text[1]) : -1;
    int low = high >= 0 ? digit_of(text[2]) : -1;
    return low >= 0 ? (char)(high << 4 | low) : '\0';
}

static enum err decode(struct parse *parse, struct part part, char **ret_text) {
    char *text = malloc(part.size + 1), *end = text;
    if (!text)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < part.size; i++, end++) {
        bool encoded = part.text[i] == '%';
        *end = encoded ? byte_of(part.text + i, part.size - i) : part.text[i];
        if (!*end) {
            free(text);
            return refuse(parse, "a % must be followed by two hexadecimal digits; write % itself as %25");
        }
        i += encoded ? 2 : 0;
    }
    *end = '\0';
    free(*ret_text);
    *ret_text = text;
    return OK;
}

static enum err take_port(struct parse *parse, struct part part, unsigned *ret_port) {
    unsigned port = 0;
    for (size_t i = 0; i < part.size; i++) {
        if (part.text[i] < '0' || part.text[i] > '9' || port > PORT_MAX)
            return refuse(parse, "the port is not a number; characters such as / @ : ? in a password are written as %2F %40 %3A %3F");
        port = port * 10 + (unsigned)(part.text[i] - '0');
    }
    if (port == 0 || port > PORT_MAX)
        return refuse(parse, "the port must be from 1 to 65535");
    *ret_port = port;
    return OK;
}

/* host, host:port or [address]:port. */
static enum err take_host(struct parse *parse, struct part part) {
    struct part name;
    if (parse->url.host_count == MARIADB_HOSTS_MAX)
        return refuse(parse, "there are more than 16 hosts");
    if (part.size > 0 && part.text[0] == '[' && contains(part, ']')) {
        cut(&part, '[');
        name = cut(&part, ']');
        if (part.size > 0 && cut(&part, ':').size > 0)
            return refuse(parse, "a host in brackets is followed by a colon and the port, or by nothing");
    } else {
        name = cut(&part, ':');
    }
    if (name.size == 0)
        return refuse(parse, "a host is missing");
    struct mariadb_host *host = &parse->url.hosts[parse->url.host_count++];
    *host = (struct mariadb_host){ .port = MARIADB_DEFAULT_PORT };
    enum err err = part.size > 0 ? take_port(parse, part, &host->port) : OK;
    return err == OK ? decode(parse, name, &host->name) : err;
}

/* Nothing when a socket takes their place. */
static enum err take_hosts(struct parse *parse, struct part part) {
    if (part.size > 0 && part.text[part.size - 1] == ',')
        return refuse(parse, "a host is missing");
    enum err err = OK;
    while (err == OK && part.size > 0)
        err = take_host(parse, cut(&part, ','));
    return err;
}

static enum err take_user(struct parse *parse, struct part part) {
    struct part user = cut(&part, ':');
    if (user.size == 0)
        return refuse(parse, "the user is missing");
    enum err err = decode(parse, user, &parse->url.user);
    return err == OK ? decode(parse, part, &parse->url.password) : err;
}

/* user:password@hosts. An @ in a password is tolerated: hosts have none. */
static enum err take_authority(struct parse *parse, struct part part) {
    const char *at = memrchr(part.text, '@', part.size);
    if (!at)
        return refuse(parse, "the user is missing");
    struct part user = { part.text, (size_t)(at - part.text) };
    struct part hosts = { at + 1, part.size - user.size - 1 };
    enum err err = take_user(parse, user);
    return err == OK ? take_hosts(parse, hosts) : err;
}

static enum err take_database(struct parse *parse, struct part part) {
    if (part.size == 0 || contains(part, '/'))
        return refuse(parse, "exactly one database must be named after the host");
    return decode(parse, part, &parse->url.database);
}

static enum err take_ssl(struct parse *parse, struct part value) {
    if (!equals(value, "on") && !equals(value, "off"))
        return refuse(parse, "ssl must be on or off");
    parse->url.requires_tls = equals(value, "on");
    return OK;
}

static enum err take_option(struct parse *parse, struct part option) {
    struct part name = cut(&option, '=');
    if (option.size == 0)
        return refuse(parse, "each option needs a value");
    if (equals(name, "ssl"))
        return take_ssl(parse, option);
    if (equals(name, "ssl_ca"))
        return decode(parse, option, &parse->url.ca_file);
    if (equals(name, "socket"))
        return decode(parse, option, &parse->url.socket);
    if (equals(name, "password_file"))
        return decode(parse, option, &parse->url.password_file);
    return refuse(parse, "the options are socket, ssl, ssl_ca and password_file");
}

static enum err take_options(struct parse *parse, struct part options) {
    enum err err = OK;
    while (err == OK && options.size > 0)
        err = take_option(parse, cut(&options, '&'));
    return err;
}

static enum err check_together(struct parse *parse) {
    struct mariadb_url *url = &parse->url;
    if (url->host_count == 0 && !url->socket)
        return refuse(parse, "a host, or the option socket, is missing");
    if (url->host_count > 0 && url->socket)
        return refuse(parse, "a host and the option socket exclude each other");
    if (url->password[0] && url->password_file)
        return refuse(parse, "a password and the option password_file exclude each other");
    url->requires_tls = url->requires_tls || url->ca_file;
    return OK;
}

static enum err take_all(struct parse *parse, const char *text) {
    struct part rest = { text, strlen(text) };
    if (strncmp(text, "//", 2) != 0)
        return refuse(parse, "expected mariadb://USER:PASSWORD@HOST:PORT/DATABASE");
    rest = (struct part){ rest.text + 2, rest.size - 2 };
    enum err err = take_authority(parse, cut(&rest, '/'));
    if (err == OK)
        err = take_database(parse, cut(&rest, '?'));
    if (err == OK)
        err = take_options(parse, rest);
    return err == OK ? check_together(parse) : err;
}

enum err mariadb_url_parse(const char *text, struct mariadb_url *ret_url, char *problem, size_t problem_size) {
    struct parse parse = { .wrong = "out of memory" };
    enum err err = take_all(&parse, text);
    if (err != OK) {
        snprintf(problem, problem_size, "PARLEY_DB: %s", parse.wrong);
        mariadb_url_release(&parse.url);
        return err;
    }
    *ret_url = parse.url;
    return OK;
}

void mariadb_url_release(struct mariadb_url *url) {
    if (url->password)
        explicit_bzero(url->password, strlen(url->password));
    char *strings[] = { url->user, url->password, url->password_file, url->socket, url->database, url->ca_file };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    for (unsigned i = 0; i < url->host_count; i++)
        free(url->hosts[i].name);
    *url = (struct mariadb_url){ 0 };
}
