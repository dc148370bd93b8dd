/* Owns the remembered names: a search tree, since an import names the same members again and again.
 *
 * Threads: its caller's. */
#include "cli/directory.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

#define USER_ARENA_BYTES ((size_t)64 * 1024)

struct known {
    uint64_t id;
    char username[LIMIT_USERNAME_BYTES + 1];
};

struct directory {
    struct reader *reader;
    void *root; /* of tsearch() over struct known, owned */
};

static int compare(const void *a, const void *b) {
    return strcmp(((const struct known *)a)->username, ((const struct known *)b)->username);
}

enum err directory_new(struct reader *reader, struct directory **ret_directory) {
    struct directory *directory = calloc(1, sizeof(*directory));
    if (directory == NULL)
        return ERR_NO_MEMORY;
    directory->reader = reader;
    *ret_directory = directory;
    return OK;
}

void directory_free(struct directory *directory) {
    if (directory != NULL)
        tdestroy(directory->root, free);
    free(directory);
}

void directory_add(struct directory *directory, const char *username, uint64_t id) {
    struct known *known = malloc(sizeof(*known));
    if (known == NULL)
        return;
    known->id = id;
    snprintf(known->username, sizeof(known->username), "%s", username);
    struct known **found = tsearch(known, &directory->root, compare);
    if (found == NULL || *found != known)
        free(known);
}

static enum err ask_database(struct directory *directory, const char *username, uint64_t *ret_id) {
    struct arena arena = ARENA_INIT(USER_ARENA_BYTES);
    struct user user;
    enum err err = read_user_by_name(directory->reader, username, &arena, &user);
    if (err == OK)
        *ret_id = user.id;
    arena_release(&arena);
    return err;
}

enum err directory_find(struct directory *directory, const char *name, uint64_t *ret_id) {
    struct known key;
    if (!username_fold(name, strlen(name), key.username))
        return ERR_NOT_FOUND;

    struct known **found = tfind(&key, &directory->root, compare);
    if (found != NULL) {
        *ret_id = (*found)->id;
        return OK;
    }
    enum err err = ask_database(directory, key.username, ret_id);
    if (err == OK)
        directory_add(directory, key.username, *ret_id);
    return err;
}
