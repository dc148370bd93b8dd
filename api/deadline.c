/* See deadline.h. */
#include "api/deadline.h"

static struct deadline *first(const struct deadline_list *list) {
    return list_empty(&list->nodes) ? NULL : LIST_ITEM(list_first(&list->nodes), struct deadline, node);
}

void deadline_list_init(struct deadline_list *list, int64_t timeout_ms) {
    list_init(&list->nodes);
    list->timeout_ms = timeout_ms;
}

void deadline_set(struct deadline *deadline, struct deadline_list *list, int64_t now_ms) {
    deadline_clear(deadline);
    deadline->list = list;
    deadline->at_ms = now_ms + list->timeout_ms;
    list_append(&list->nodes, &deadline->node);
}

void deadline_clear(struct deadline *deadline) {
    if (deadline->list != NULL)
        list_remove(&deadline->node);
    deadline->list = NULL;
}

struct deadline *deadline_due(const struct deadline_list *list, int64_t now_ms) {
    struct deadline *deadline = first(list);
    return deadline != NULL && deadline->at_ms <= now_ms ? deadline : NULL;
}

int deadline_sooner(const struct deadline_list *list, int64_t now_ms, int timeout_ms) {
    const struct deadline *deadline = first(list);
    if (deadline == NULL)
        return timeout_ms;
    int64_t left_ms = deadline->at_ms > now_ms ? deadline->at_ms - now_ms : 0;
    return timeout_ms < 0 || left_ms < timeout_ms ? (int)left_ms : timeout_ms;
}
