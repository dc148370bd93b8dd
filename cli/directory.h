/* Usernames to ids: those that were told, then the database's. Users are never renamed, so what was once found holds. One thread at a time. */
#pragma once

#include "db/reader.h"

struct directory;

/* `reader` is borrowed and outlives the directory. */
enum err directory_new(struct reader *reader, struct directory **ret_directory) MUST_USE;
void directory_free(struct directory *directory);
/* ERR_NOT_FOUND: there is no such user, or the name cannot be one. Any letter case. */
enum err directory_find(struct directory *directory, const char *name, uint64_t *ret_id) MUST_USE;
/* Tells a user's id; `username` is folded, and copied. Without memory it is forgotten: the database knows it. */
void directory_add(struct directory *directory, const char *username, uint64_t id);
