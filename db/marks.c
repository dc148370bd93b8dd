/* See db/marks.h. */
#include "db/marks.h"

#include <stdlib.h>

#include "core/limits.h"
#include "core/metrics.h"

enum mark_phase { PHASE_WAITING, PHASE_WRITING, PHASE_KEPT };

struct mark_entry {
    struct mark mark;
    enum mark_phase phase;
    uint64_t stored;       /* the value in the row, if it is known, else 0 */
    int64_t due_ms;        /* waiting: to be written; kept: to be forgotten */
    struct list_node list; /* waiting and kept */
    struct mark_entry *next;
};

static uint64_t key_of(const struct mark *mark) {
    uint64_t mixed = mark->chat_id * UINT64_C(0x9E3779B97F4A7C15) ^ (mark->owner_id + mark->kind) * UINT64_C(0xC2B2AE3D27D4EB4F);
    return mixed ? mixed : 1;
}

static bool is_of(const struct mark_entry *entry, const struct mark *mark) {
    return entry->mark.kind == mark->kind && entry->mark.chat_id == mark->chat_id && entry->mark.owner_id == mark->owner_id;
}

static struct mark_entry *find(const struct marks *marks, const struct mark *mark) {
    struct mark_entry *entry = map_get(&marks->entries, key_of(mark));
    while (entry && !is_of(entry, mark))
        entry = entry->next;
    return entry;
}

void marks_init(struct marks *marks) {
    *marks = (struct marks){ .entries = MAP_INIT };
    pthread_mutex_init(&marks->mutex, NULL);
    list_init(&marks->waiting);
    list_init(&marks->kept);
}

void marks_release(struct marks *marks) {
    marks_clear(marks);
    pthread_mutex_destroy(&marks->mutex);
}

/* Takes the entry out of its key's chain and frees it. It is in no list any more. */
static void forget(struct marks *marks, struct mark_entry *entry) {
    uint64_t key = key_of(&entry->mark);
    struct mark_entry *first = map_get(&marks->entries, key);
    if (first == entry && !entry->next) {
        (void)map_remove(&marks->entries, key);
    } else if (first == entry) {
        if (map_put(&marks->entries, key, entry->next) != OK)
            return; /* replacing takes no memory, so this cannot be */
    } else {
        while (first->next != entry)
            first = first->next;
        first->next = entry->next;
    }
    marks->count--;
    free(entry);
}

static struct mark_entry *first_of(const struct list_node *list) {
    return list_empty(list) ? NULL : LIST_ITEM(list_first(list), struct mark_entry, list);
}

static void forget_old(struct marks *marks, int64_t now_ms) {
    for (struct mark_entry *entry; (entry = first_of(&marks->kept)) && (entry->due_ms <= now_ms || marks->count >= LIMIT_MARKS);) {
        list_remove(&entry->list);
        forget(marks, entry);
    }
}

static enum err add(struct marks *marks, const struct mark *mark, struct mark_entry **ret_entry) {
    uint64_t key = key_of(mark);
    if (marks->count >= LIMIT_MARKS)
        return ERR_OVERLOADED;
    struct mark_entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return ERR_NO_MEMORY;
    entry->mark = *mark;
    entry->mark.value = 0;
    entry->phase = PHASE_WRITING; /* in no list */
    entry->next = map_get(&marks->entries, key);
    if (map_put(&marks->entries, key, entry) != OK) {
        free(entry);
        return ERR_NO_MEMORY;
    }
    marks->count++;
    *ret_entry = entry;
    return OK;
}

/* For all to see: what is being written waits, too. */
static void show_counts(const struct marks *marks) {
    metric_set(GAUGE_MARKS_WAITING, (int64_t)(marks->waiting_count + marks->writing_count));
}

/* Due times are in the order of this list, because the pause is always the same. */
static void wait_again(struct marks *marks, struct mark_entry *entry, int64_t now_ms) {
    if (entry->phase == PHASE_KEPT)
        list_remove(&entry->list);
    entry->phase = PHASE_WAITING;
    entry->due_ms = now_ms + MARKS_PAUSE_MS;
    list_append(&marks->waiting, &entry->list);
    marks->waiting_count++;
    show_counts(marks);
}

static enum err move(struct marks *marks, const struct mark *mark, int64_t now_ms, bool *ret_first) {
    struct mark_entry *entry = find(marks, mark);
    enum err err = OK;
    *ret_first = false;
    if (!entry) {
        forget_old(marks, now_ms);
        err = add(marks, mark, &entry);
    }
    if (err != OK || mark->value <= entry->mark.value)
        return err;
    entry->mark.value = mark->value;
    entry->mark.silent = mark->silent && (entry->phase != PHASE_WAITING || entry->mark.silent);
    if (entry->phase == PHASE_WAITING)
        return OK;
    *ret_first = marks->waiting_count == 0;
    wait_again(marks, entry, now_ms);
    return OK;
}

enum err marks_move(struct marks *marks, const struct mark *mark, int64_t now_ms, bool *ret_first) {
    pthread_mutex_lock(&marks->mutex);
    enum err err = move(marks, mark, now_ms, ret_first);
    pthread_mutex_unlock(&marks->mutex);
    return err;
}

uint64_t marks_value(struct marks *marks, enum mark_kind kind, uint64_t chat_id, uint64_t owner_id) {
    const struct mark key = { .kind = kind, .chat_id = chat_id, .owner_id = owner_id };
    pthread_mutex_lock(&marks->mutex);
    const struct mark_entry *entry = find(marks, &key);
    uint64_t value = entry ? entry->mark.value : 0;
    pthread_mutex_unlock(&marks->mutex);
    return value;
}

int64_t marks_due_ms(struct marks *marks) {
    pthread_mutex_lock(&marks->mutex);
    const struct mark_entry *first = first_of(&marks->waiting);
    int64_t due_ms = first ? first->due_ms : INT64_MAX;
    pthread_mutex_unlock(&marks->mutex);
    return due_ms;
}

size_t marks_take(struct marks *marks, int64_t until_ms, struct mark *ret_marks, size_t limit) {
    size_t count = 0;
    pthread_mutex_lock(&marks->mutex);
    for (struct mark_entry *entry; count < limit && (entry = first_of(&marks->waiting)) && entry->due_ms <= until_ms;) {
        list_remove(&entry->list);
        entry->phase = PHASE_WRITING;
        ret_marks[count++] = entry->mark;
    }
    marks->waiting_count -= count;
    marks->writing_count = count;
    show_counts(marks);
    pthread_mutex_unlock(&marks->mutex);
    return count;
}

static void keep(struct marks *marks, struct mark_entry *entry, int64_t now_ms) {
    entry->phase = PHASE_KEPT;
    entry->due_ms = now_ms + MARKS_KEPT_MS;
    list_append(&marks->kept, &entry->list);
}

static void note_outcome(struct marks *marks, struct mark *written, bool stored, int64_t now_ms) {
    struct mark_entry *entry = find(marks, written);
    if (!entry)
        return;
    written->previous = entry->stored;
    if (stored)
        entry->stored = written->value;
    if (entry->phase == PHASE_WRITING && stored)
        keep(marks, entry, now_ms);
    else if (entry->phase == PHASE_WRITING)
        wait_again(marks, entry, now_ms);
}

void marks_written(struct marks *marks, struct mark *written, size_t count, bool stored, int64_t now_ms) {
    pthread_mutex_lock(&marks->mutex);
    for (size_t i = 0; i < count; i++)
        note_outcome(marks, &written[i], stored, now_ms);
    marks->writing_count = 0;
    show_counts(marks);
    forget_old(marks, now_ms);
    pthread_mutex_unlock(&marks->mutex);
    if (stored)
        metric_add(COUNTER_MARKS_WRITTEN, count);
}

/* Those that are being written are forgotten, too: they are not found again. */
void marks_clear(struct marks *marks) {
    size_t cursor = 0;
    pthread_mutex_lock(&marks->mutex);
    for (struct mark_entry *entry; (entry = map_next(&marks->entries, &cursor));) {
        for (struct mark_entry *next; entry; entry = next) {
            next = entry->next;
            free(entry);
        }
    }
    map_release(&marks->entries);
    list_init(&marks->waiting);
    list_init(&marks->kept);
    marks->count = marks->waiting_count = marks->writing_count = 0;
    show_counts(marks);
    pthread_mutex_unlock(&marks->mutex);
}
