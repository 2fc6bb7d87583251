/*
 * certs bulk-renew, bulk-revoke and bulk-reassign.
 *
 * Before anything is changed for many, the server counts what would be, and
 * a person agrees: at the terminal, or by --yes.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/body.h"
#include "cli/cli.h"
#include "cli/names.h"
#include "cli/out.h"
#include "cli/render.h"
#include "common/json/json.h"

struct bulk {
	const char *success;      /* member of the answer: total_... */
	const char *done, *to_do; /* in words */
};

/* The options and the ids, as the body. */
static int
make_body(struct cli *c, const char **out)
{
	CLEANUP(buf_fini) struct buf ids;
	struct json_w w;

	buf_init(&ids, 0);
	if (args_count(c) == 0)
		return body_make(c, NULL, NULL, out);
	json_w_init(&w, &ids);
	json_w_open(&w, '[');
	for (size_t i = 0; i < args_count(c); i++)
		json_w_str(&w, args_word(c, i));
	json_w_close(&w, ']');
	return body_make(c, NULL, buf_cstr(&ids), out);
}

static void
print_counters(struct cli *c, const struct bulk *b, const struct cJSON *json,
    const char *word)
{
	out_print("%s matched, %s %s, %s skipped, %s failed\n",
	    cell(c, json, "total_matched"), cell(c, json, b->success), word,
	    cell(c, json, "total_skipped"), cell(c, json, "total_failed"));
}

/* What is enqueued, or would be, and waits, and for what. */
static void
print_waiting(struct cli *c, const struct cJSON *json)
{
	const struct cJSON *item;

	cJSON_ArrayForEach(item, json_get(json, "waiting"))
	{
		out_print("%s %s; among them %s\n", cell(c, item, "total"),
		    cell(c, item, "reason"), cell(c, item, "certificate_ids"));
	}
}

/* Ids that nothing was or would be done for. */
static bool
print_left(struct cli *c, const struct cJSON *json)
{
	static const struct {
		const char *member, *words;
	} all[] = {
	    {"unknown_ids", "no such certificate"},
	    {"held_ids", "held by another transaction, try again"},
	};
	bool is_any = false;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (!json_get(json, all[i].member))
			continue;
		is_any = true;
		if (!c->as_json)
			out_tell("%s: %s", all[i].words,
			    cell(c, json, all[i].member));
	}
	return is_any;
}

/* A 2xx that holds the counts; else it is told why not. */
static int
check_counts(const struct cli *c, const struct bulk *b, const struct answer *a)
{
	int exit_code = client_check_json(c, a);

	if (exit_code != EXIT_DONE || json_get(a->json, b->success))
		return exit_code;
	out_error("the server's answer does not say how many");
	return EXIT_FAILED;
}

int
confirm(void)
{
	char line[8];

	if (!isatty(STDIN_FILENO)) {
		out_error("nothing was changed; add --yes to go on without "
			  "being asked");
		return EXIT_USAGE;
	}
	out_print("Go on? [y/N] ");
	if (!out_flush())
		return EXIT_FAILED;
	if (fgets(line, sizeof(line), stdin) != NULL &&
	    (line[0] == 'y' || line[0] == 'Y'))
		return EXIT_DONE;
	out_error("nothing was changed");
	return EXIT_FAILED;
}

static struct answer
ask_count(struct cli *c, const char *body)
{
	return client_call(c, "POST",
	    arena_printf(c->arena, "%s?dry_run=true", args_command(c)->path),
	    body);
}

/* The body with ids in the place of names, and what it would do. */
static int
resolve(struct cli *c, const char **body, struct answer *out)
{
	const struct cJSON *unknown;
	bool has_names = false;
	int exit_code;

	*out = ask_count(c, *body);
	if (out->status != 200 || !out->json)
		return EXIT_DONE; /* what was refused is told later */
	unknown = json_get(out->json, "unknown_ids");
	if (!unknown)
		unknown = json_get(out->json, "errors");
	if (!unknown)
		return EXIT_DONE;
	exit_code = names_of_unknown(c, unknown, &has_names);
	if (exit_code == EXIT_DONE && has_names) {
		exit_code = make_body(c, body);
		*out = ask_count(c, *body);
	}
	return exit_code;
}

/* Shows what would be done. */
static int
show_count(struct cli *c, const struct bulk *b, const struct answer *a,
    bool is_asked)
{
	int exit_code = check_counts(c, b, a);

	if (exit_code != EXIT_DONE)
		return exit_code;
	if (c->as_json && is_asked)
		render_text(c, a->text);
	else if (!c->as_json) {
		print_counters(c, b, a->json, b->to_do);
		print_waiting(c, a->json);
	}
	IGNORE_RESULT(print_left(c, a->json)); /* only counted so far */
	return EXIT_DONE;
}

static int
run(struct cli *c, const struct bulk *b)
{
	bool is_dry = args_flag(c, "--dry-run");
	bool is_sure = args_flag(c, "--yes");
	const char *key = args_value(c, "--idempotency-key");
	const char *body, *path = args_command(c)->path;
	int64_t failed = 0;
	struct answer a;
	int exit_code = names_before(c, "certs");

	if (exit_code == EXIT_DONE)
		exit_code = make_body(c, &body);
	if (exit_code == EXIT_DONE && (is_dry || !is_sure || args_count(c) > 0))
		exit_code = resolve(c, &body, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (is_dry || !is_sure) {
		exit_code = show_count(c, b, &a, is_dry);
		if (exit_code == EXIT_DONE && !is_dry)
			exit_code = confirm();
		if (exit_code != EXIT_DONE || is_dry)
			return exit_code;
	}
	c->idempotency_key = key;
	a = client_call(c, "POST", path, body);
	exit_code = check_counts(c, b, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (c->as_json)
		render_text(c, a.text);
	else {
		print_counters(c, b, a.json, b->done);
		print_waiting(c, a.json);
	}
	IGNORE_RESULT(json_int(a.json, "total_failed", 0, INT64_MAX, &failed));
	return print_left(c, a.json) || failed > 0 ? EXIT_FAILED : EXIT_DONE;
}

int
cmd_certs_bulk_renew(struct cli *c)
{
	static const struct bulk b = {"total_enqueued", "enqueued",
	    "to be enqueued"};

	return run(c, &b);
}

int
cmd_certs_bulk_revoke(struct cli *c)
{
	static const struct bulk b = {"total_revoked", "revoked",
	    "to be revoked"};

	return run(c, &b);
}

int
cmd_certs_bulk_reassign(struct cli *c)
{
	static const struct bulk b = {"total_reassigned", "reassigned",
	    "to be reassigned"};

	return run(c, &b);
}
