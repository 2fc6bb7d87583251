#include "agent/work.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void
work_add(struct work_list *list, struct work *w)
{
	w->list = list;
	w->next = list->first;
	list->first = w;
	list->n++;
}

void
work_remove(struct work *w)
{
	struct work **link;

	for (link = &w->list->first; *link; link = &(*link)->next) {
		if (*link == w) {
			*link = w->next;
			w->list->n--;
			return;
		}
	}
}

void
work_free(struct work *w)
{
	if (!w)
		return;
	free(w->item_json);
	free(w->dir);
	free(w);
}

bool
work_has_job(const struct work_list *list, const char *job)
{
	for (const struct work *w = list->first; w; w = w->next) {
		if (strcmp(w->job, job) == 0)
			return true;
	}
	return false;
}

bool
work_claim_dir(struct work *w, const char *dir)
{
	for (const struct work *o = w->list->first; o; o = o->next) {
		if (o != w && o->dir && strcmp(o->dir, dir) == 0)
			return false;
	}
	if (!w->dir)
		w->dir = mem_strdup(dir);
	return true;
}
