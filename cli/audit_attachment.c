/*
 * audit attachment, and the check of attachments that audit verify makes: a
 * bulk call's event names the SHA-256 of the list beside it, and the event is
 * sealed.
 */
#include <inttypes.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/audit.h"
#include "cli/out.h"
#include "cli/render.h"
#include "common/base/enc.h"
#include "common/json/json.h"

#define SHA256_MEMBER "attachment_sha256"

/* The list beside the event of that id. */
static struct answer
call(struct cli *c, const char *id)
{
	return client_call(c, "GET",
	    arena_printf(c->arena, "/api/v1/audit/%s/attachment",
		client_escape(c, id)),
	    NULL);
}

/* What the event says the list's SHA-256 is; NULL when it names none. */
static const char *
wanted_hash(const struct cJSON *details)
{
	const char *hash = NULL;
	rc ret =
	    json_str(details, SHA256_MEMBER, (size_t)2 * AUDIT_HASH, &hash);

	return ret == RC_OK ? hash : NULL;
}

static bool
is_of_hash(const struct answer *a, const char *wanted)
{
	char hash[2 * AUDIT_HASH + 1];

	enc_sha256_hex(a->text, strlen(a->text), hash);
	return strcmp(hash, wanted) == 0;
}

const char *
audit_attachment_fault(struct cli *c, struct arena *a,
    const struct audit_block *b, const struct audit_row *row,
    int *out_exit_code)
{
	const char *details = row->fields[AUDIT_ROW_DETAILS];
	struct arena *run = c->arena;
	const struct cJSON *json;
	const char *why, *wanted;
	struct answer answer;
	rc ret;

	if (!strstr(details, "\"" SHA256_MEMBER "\""))
		return NULL;
	ret = json_parse(a, details, strlen(details), &json, &why);
	wanted = ret == RC_OK ? wanted_hash(json) : NULL;
	if (!wanted)
		return NULL;
	c->arena = a;
	answer = call(c, row->fields[AUDIT_ROW_ID]);
	c->arena = run;
	if (answer.status == 404)
		return arena_printf(a,
		    "block %" PRId64 ": attachment missing: of %s", b->n,
		    row->fields[AUDIT_ROW_ID]);
	if (answer.status != 200) {
		*out_exit_code = client_check(c, &answer);
		return NULL;
	}
	if (!is_of_hash(&answer, wanted))
		return arena_printf(a,
		    "block %" PRId64 ": attachment changed: of %s", b->n,
		    row->fields[AUDIT_ROW_ID]);
	return NULL;
}

int
cmd_audit_attachment(struct cli *c)
{
	struct answer event, list;
	const char *wanted;
	int exit_code;

	event =
	    client_call(c, "GET", client_path(c, "/api/v1/audit", ""), NULL);
	exit_code = client_check(c, &event);
	if (exit_code != EXIT_DONE)
		return exit_code;
	list = call(c, args_word(c, 0));
	exit_code = client_check_text(c, &list);
	if (exit_code != EXIT_DONE)
		return exit_code;
	wanted = wanted_hash(json_get(event.json, "details"));
	if (!wanted || !is_of_hash(&list, wanted)) {
		out_error("the attachment is not the one that the event "
			  "names: one of them was changed; certctl audit "
			  "verify says which");
		return EXIT_FAILED;
	}
	render_text(c, list.text);
	return EXIT_DONE;
}
