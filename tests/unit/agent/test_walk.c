/*
 * test_walk: each file once, and none beyond the directories.
 */
#include "agent/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/attr.h"
#include "common/base/text.h"
#include "tests/unit/agent/sandbox.h"
#include "tests/unit/check.h"

struct rig {
	struct arena *a;
	struct walk_opts opts;
	const char *dirs[4];
	int skip[1];
	/* "what path", in the order of their texts */
	const char *found[64];
	size_t n;
};

static void
note(struct rig *r, const char *what, const char *path)
{
	const char *root = sandbox_path("");

	CHECK(r->n < ARRAY_LEN(r->found));
	if (strncmp(path, root, strlen(root)) == 0)
		path += strlen(root);
	r->found[r->n++] = arena_printf(r->a, "%s %s", what, path);
}

static void
on_error(void *arg, const char *path, const char *why)
{
	note(arg, why, path);
}

static bool
wants(const char *name)
{
	return !text_ends_with(name, ".no");
}

static void
rig_init(struct rig *r)
{
	*r = (struct rig){.a = sandbox_new(), .skip = {-1}};
	r->opts = (struct walk_opts){.dirs = r->dirs,
	    .skip = r->skip,
	    .nskip = 1,
	    .wants = wants,
	    .on_error = on_error,
	    .arg = r};
	r->dirs[0] = sandbox_path("d");
	(void)close(sandbox_dir_fd("d"));
}

/* A text of all that a walk met. */
static const char *
walked(struct rig *r)
{
	struct walk *w = walk_new(&r->opts);
	enum walk_result result;
	const char *path, *all = "";
	int fd;

	r->n = 0;
	for (;;) {
		result = walk_next(w, &fd, &path);
		if (result == WALK_END)
			break;
		if (result == WALK_FILE) {
			note(r, "file", path);
			CHECK(close(fd) == 0);
		}
	}
	walk_free(w);
	qsort(r->found, r->n, sizeof(r->found[0]), text_compare);
	for (size_t i = 0; i < r->n; i++)
		all = arena_printf(r->a, "%s%s\n", all, r->found[i]);
	return all;
}

static void
put(const char *dir, const char *name)
{
	(void)close(sandbox_dir_fd(dir));
	sandbox_put(name, "x");
}

static void
files(void)
{
	struct rig r;

	rig_init(&r);
	CHECK_STR(walked(&r), "");
	put("d", "d/a");
	put("d", "d/b.no");
	put("d/e", "d/e/c");
	put("d/e/f", "d/e/f/.g");
	CHECK(mkfifo(sandbox_path("d/fifo"), 0600) == 0);
	CHECK_STR(walked(&r), "file d/a\nfile d/e/c\nfile d/e/f/.g\n");
	r.dirs[0] = arena_printf(r.a, "%s///", sandbox_path("d/e/f"));
	r.dirs[1] = sandbox_path("d/e");
	CHECK_STR(walked(&r), "file d/e/c\nfile d/e/f/.g\nfile d/e/f/.g\n");
	r.dirs[0] = sandbox_path("none");
	r.dirs[1] = sandbox_path("d/a");
	CHECK_STR(walked(&r),
	    "No such file or directory none\nNot a directory d/a\n");
}

static void
links(void)
{
	struct rig r;

	rig_init(&r);
	put("out", "out/secret");
	put("d", "d/a");
	CHECK(symlink("../out", sandbox_path("d/dir")) == 0);
	CHECK(symlink("../out/secret", sandbox_path("d/link")) == 0);
	CHECK(symlink(".", sandbox_path("d/circle")) == 0);
	CHECK(symlink("a", sandbox_path("d/inside")) == 0);
	CHECK_STR(walked(&r), "file d/a\n");
	/* The one that was asked for may be one. */
	r.dirs[0] = sandbox_path("d/dir");
	CHECK_STR(walked(&r), "file d/dir/secret\n");
}

static void
own_directories(void)
{
	struct rig r;

	rig_init(&r);
	put("d/keys", "d/keys/a");
	put("d", "d/b");
	r.skip[0] = sandbox_dir_fd("d/keys");
	CHECK_STR(walked(&r), "file d/b\n");
	r.dirs[0] = sandbox_path("d/keys");
	CHECK_STR(walked(&r), "");
	(void)close(r.skip[0]);
}

static void
bounds(void)
{
	char path[4096] = "d";
	struct rig r;

	rig_init(&r);
	for (int i = 1; i < WALK_DEPTH_MAX; i++)
		memcpy(path + strlen(path), "/d", 3);
	put("d", "d/a");
	for (char *p = path + 1; p; p = strchr(p + 1, '/')) {
		char kept = *p;

		*p = '\0';
		(void)close(sandbox_dir_fd(path));
		*p = kept;
	}
	(void)close(sandbox_dir_fd(path));
	sandbox_put(arena_printf(r.a, "%s/last", path), "x");
	CHECK_STR(walked(&r),
	    arena_printf(r.a, "file d/a\nfile %s/last\n", path));
	(void)close(sandbox_dir_fd(arena_printf(r.a, "%s/d", path)));
	CHECK_STR(walked(&r),
	    arena_printf(r.a, "file d/a\nfile %s/last\ntoo deep %s/d\n", path,
		path));
	rig_init(&r);
	path[1] = '\0';
	for (int n = 0; n < 5; n++) {
		size_t len = strlen(path);

		path[len] = '/';
		memset(path + len + 1, 'x', 250);
		path[len + 251] = '\0';
		(void)close(sandbox_dir_fd(path));
	}
	CHECK(strstr(walked(&r), "a path in it is longer than 1024 bytes") !=
	      NULL);
}

CHECK_MAIN(CHECK_ROW(files), CHECK_ROW(links), CHECK_ROW(own_directories),
    CHECK_ROW(bounds))
