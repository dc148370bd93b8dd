/* An intrusive doubly linked list: a node lives in the struct that it links, a list is a node whose neighbours are its ends.
 *
 * Nothing is allocated. A node that is in no list points to itself, so removing it twice is harmless. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *previous, *next;
};

static inline void list_init(struct list_node *list) { list->previous = list->next = list; }
static inline bool list_empty(const struct list_node *list) { return list->next == list; }
static inline struct list_node *list_first(const struct list_node *list) { return list->next; } /* of a list that is not empty */

static inline void list_append(struct list_node *list, struct list_node *node) {
    node->previous = list->previous;
    node->next = list;
    list->previous->next = node;
    list->previous = node;
}

static inline void list_remove(struct list_node *node) {
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

/* The struct of `type` whose `member` the node is. */
#define LIST_ITEM(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))
#define LIST_EACH(list, node) for (struct list_node * (node) = (list)->next; (node) != (list); (node) = (node)->next)
