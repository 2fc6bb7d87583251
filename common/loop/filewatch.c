#include "common/loop/filewatch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/mem.h"

/* What tells one state of a file from another; a rename changes the inode
 * even within the same second.  All zero: it is not there. */
struct stamp {
	struct timespec mtime;
	ino_t inode;
	off_t size;
};

struct watched {
	char *path;
	struct stamp stamp;
};

struct filewatch {
	struct timer *timer;
	int64_t every_ms;
	loop_fn *on_change;
	void *arg;
	size_t n;
	struct watched file[]; /* n of them */
};

static struct stamp
stamp_of(const char *path)
{
	struct stamp s = {0};
	struct stat st;

	if (stat(path, &st) == 0) {
		s.mtime = st.st_mtim;
		s.inode = st.st_ino;
		s.size = st.st_size;
	}
	return s;
}

static bool
is_equal(const struct stamp *a, const struct stamp *b)
{
	return a->mtime.tv_sec == b->mtime.tv_sec &&
	       a->mtime.tv_nsec == b->mtime.tv_nsec && a->inode == b->inode &&
	       a->size == b->size;
}

static bool
has_changed(const struct filewatch *w)
{
	struct stamp now;

	for (size_t i = 0; i < w->n; i++) {
		now = stamp_of(w->file[i].path);
		if (!is_equal(&now, &w->file[i].stamp))
			return true;
	}
	return false;
}

static void
on_look(void *arg)
{
	struct filewatch *w = arg;

	timer_arm(w->timer, w->every_ms);
	if (!has_changed(w))
		return;
	filewatch_note(w);
	w->on_change(w->arg);
}

struct filewatch *
filewatch_new(const char *const *paths, size_t n)
{
	struct filewatch *w;

	w = mem_zalloc(sizeof(*w) + n * sizeof(w->file[0]));
	w->n = n;
	for (size_t i = 0; i < n; i++)
		w->file[i].path = mem_strdup(paths[i]);
	filewatch_note(w);
	return w;
}

void
filewatch_free(struct filewatch *w)
{
	if (!w)
		return;
	timer_free(w->timer);
	for (size_t i = 0; i < w->n; i++)
		free(w->file[i].path);
	free(w);
}

void
filewatch_note(struct filewatch *w)
{
	for (size_t i = 0; i < w->n; i++)
		w->file[i].stamp = stamp_of(w->file[i].path);
}

void
filewatch_start(struct filewatch *w, struct loop *l, int64_t every_ms,
    loop_fn *on_change, void *arg)
{
	w->every_ms = every_ms;
	w->on_change = on_change;
	w->arg = arg;
	w->timer = timer_new(l, on_look, w);
	timer_arm(w->timer, every_ms);
}
