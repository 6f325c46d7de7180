/* Intrusive doubly linked lists: a node lives inside what it links, so linking never allocates. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

/* The structure of type `type` whose member `member` is at `node`. */
#define list_entry(node, type, member) ((type *)(void *)((char *)(node) - offsetof(type, member)))

/* Makes `l` an empty list, or a node that is in none. */
static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

/* True when `l`, as a head, holds nothing or, as a node, is linked nowhere. */
static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/* Appends `node`, which must be in no list, to the end of `head`. */
static inline void list_append(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* Takes `node` out of its list; harmless when it is in none. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Moves everything in `from` to the end of the empty list `to`. */
static inline void list_take(struct list *to, struct list *from)
{
	list_init(to);
	if (list_empty(from))
		return;
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	list_init(from);
}

#endif
