/* Owns going through the objects in the order of their keys. Memory is bounded by a page, whatever the folders hold. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/local_folder.h"

#define FOLDERS_PAGE 256 /* folders looked at before their folder is read again */

/* ---- One folder ---- */

/* Where `name` belongs: the number of names before it. */
static size_t names_before(const struct names *names, const char *name) {
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(names_get(names, middle), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Keeps the smallest `max`. */
static void names_add(struct names *names, const char *name) {
    if (names->count == names->max) {
        names->more = true;
        if (strcmp(names_get(names, names->count - 1), name) < 0)
            return;
        names->count--;
    }
    size_t at = names_before(names, name);
    char *slot = names->bytes + at * names->width;
    memmove(slot + names->width, slot, (names->count - at) * names->width);
    memcpy(slot, name, strlen(name) + 1);
    names->count++;
}

enum err names_read(int folder_fd, const char *after, bool inclusive, struct names *names) {
    int fd;
    char name[STORAGE_KEY_SIZE];
    enum err err = folder_open(folder_fd, ".", &fd);
    if (err != OK)
        return err;
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        close(fd);
        return local_failed("reading a folder");
    }
    names->count = 0;
    names->more = false;
    errno = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (!name_decode(entry->d_name, name, names->width))
            continue;
        int order = strcmp(name, after);
        if (order > 0 || (order == 0 && inclusive))
            names_add(names, name);
    }
    int reason = errno;
    closedir(folder);
    errno = reason;
    return reason == 0 ? OK : local_failed("reading a folder");
}

/* ---- All of them ---- */

struct walk {
    const char *prefix;
    const char *after;                                   /* without the prefix */
    char outer[OUTER_BYTES + 1], inner[INNER_BYTES + 1]; /* of `after` */
    const char *folder;                                  /* the one that is visited */
    struct names outers, inners, files;
    struct listed_object *objects;
    size_t count; /* up to one more than a page, which shows that there is more */
};

#define WALK_MAX (STORAGE_PAGE + 1)

/* Leaves out what is none of ours, and an object that has just been deleted. */
static void add_object(struct walk *walk, int folder_fd, const char *name) {
    struct stat status;
    char file[NAME_SIZE];
    struct listed_object *object = &walk->objects[walk->count];
    if (strlen(walk->prefix) + strlen(name) >= STORAGE_KEY_SIZE || !name_encode(name, strlen(name), file) ||
        fstatat(folder_fd, file, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode))
        return;
    size_t prefix_size = strlen(walk->prefix);
    memcpy(object->key, walk->prefix, prefix_size);
    memcpy(object->key + prefix_size, name, strlen(name) + 1);
    object->size = status.st_size > RECORD_BYTES ? (uint64_t)status.st_size - RECORD_BYTES : 0;
    object->modified_ms = (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
    walk->count++;
}

static enum err walk_files(struct walk *walk, int folder_fd) {
    char after[STORAGE_KEY_SIZE];
    memcpy(after, walk->after, strlen(walk->after) + 1);
    do {
        walk->files.max = WALK_MAX - walk->count;
        enum err err = names_read(folder_fd, after, false, &walk->files);
        if (err != OK)
            return err;
        for (size_t i = 0; i < walk->files.count; i++)
            add_object(walk, folder_fd, names_get(&walk->files, i));
        if (walk->files.count > 0)
            memcpy(after, names_get(&walk->files, walk->files.count - 1), walk->files.width);
    } while (walk->files.more && walk->count < WALK_MAX);
    return OK;
}

typedef enum err (*visitor)(struct walk *walk, int folder_fd);

/* A folder that is gone meanwhile was empty. */
static enum err visit(struct walk *walk, int folder_fd, const char *name, visitor visit_folder) {
    char file[NAME_SIZE];
    int fd;
    if (!name_encode(name, strlen(name), file))
        return OK;
    enum err err = folder_open(folder_fd, file, &fd);
    if (err != OK)
        return err == ERR_NOT_FOUND ? OK : err;
    err = visit_folder(walk, fd);
    close(fd);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* Visits the folders of a folder from `first` on. */
static enum err walk_folders(struct walk *walk, int folder_fd, const char *first, struct names *names, visitor visit_folder) {
    char after[OUTER_BYTES + INNER_BYTES + 1];
    memcpy(after, first, strlen(first) + 1);
    bool inclusive = true;
    do {
        enum err err = names_read(folder_fd, after, inclusive, names);
        for (size_t i = 0; i < names->count && err == OK && walk->count < WALK_MAX; i++) {
            memcpy(after, names_get(names, i), names->width);
            walk->folder = after;
            err = visit(walk, folder_fd, after, visit_folder);
        }
        if (err != OK)
            return err;
        inclusive = false;
    } while (names->more && walk->count < WALK_MAX);
    return OK;
}

static enum err walk_inner(struct walk *walk, int folder_fd) { return walk_files(walk, folder_fd); }

/* Only the folder of `after` begins in the middle. */
static enum err walk_outer(struct walk *walk, int folder_fd) {
    const char *first = strcmp(walk->folder, walk->outer) == 0 ? walk->inner : "";
    return walk_folders(walk, folder_fd, first, &walk->inners, walk_inner);
}

static bool names_init(struct names *names, struct arena *arena, size_t width, size_t max) {
    *names = (struct names){ .width = width, .max = max, .bytes = arena_array(arena, width, max + 1) };
    return names->bytes != NULL;
}

static bool walk_init(struct walk *walk, struct arena *arena) {
    walk->objects = ARENA_ARRAY(arena, struct listed_object, WALK_MAX);
    return walk->objects != NULL && names_init(&walk->outers, arena, OUTER_BYTES + 1, FOLDERS_PAGE) &&
           names_init(&walk->inners, arena, INNER_BYTES + 1, FOLDERS_PAGE) && names_init(&walk->files, arena, STORAGE_KEY_SIZE, WALK_MAX);
}

/* The key without the prefix; NULL when no key of ours comes after it. */
static const char *without_prefix(const char *prefix, const char *after) {
    size_t size = strlen(prefix);
    if (strncmp(prefix, after, size) == 0)
        return after + size;
    return strcmp(after, prefix) < 0 ? "" : NULL;
}

enum err local_list(struct storage *storage, const char *after, struct arena *arena, struct listed_object **ret_objects, size_t *ret_count,
                    bool *ret_more) {
    struct walk walk = { .prefix = storage->config->s3_prefix };
    walk.after = without_prefix(walk.prefix, after);
    if (!walk_init(&walk, arena) || strlen(after) >= STORAGE_KEY_SIZE)
        return ERR_NO_MEMORY;
    if (walk.after != NULL) {
        key_split(walk.after, walk.outer, walk.inner);
        enum err err = walk_folders(&walk, local_of(storage)->objects_fd, walk.outer, &walk.outers, walk_outer);
        if (err != OK)
            return err;
    }
    *ret_objects = walk.objects;
    *ret_more = walk.count > STORAGE_PAGE;
    *ret_count = *ret_more ? STORAGE_PAGE : walk.count;
    return OK;
}
