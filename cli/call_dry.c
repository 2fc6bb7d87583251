/*
 * call_dry: what --dry-run shows in the place of a call, and never a secret
 * that it would send.
 */
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/call.h"
#include "cli/out.h"
#include "cli/render.h"
#include "common/cfg/secretname.h"
#include "common/json/json.h"

#define MASK "***"

/* --- secrets --- */

/* Those of a configuration, at any depth; the replaced item is gone. */
static void
mask_within(struct cJSON *value)
{
	struct cJSON *item = value->child, *next;

	for (; item; item = next) {
		next = item->next;
		if (cJSON_IsNull(item))
			continue;
		if (!item->string || !secretname_is(item->string))
			mask_within(item);
		else
			cJSON_ReplaceItemInObjectCaseSensitive(value,
			    item->string, cJSON_CreateString(MASK));
	}
}

static void
mask_option(struct cli *c, struct cJSON *root, const struct option *o)
{
	const char *name = command_member(c->arena, o);
	struct cJSON *item = cJSON_GetObjectItemCaseSensitive(root, name);

	if (!item || cJSON_IsNull(item))
		return;
	if (o->secret == OPTION_SECRETS_IN)
		mask_within(item);
	else
		cJSON_ReplaceItemInObjectCaseSensitive(root, name,
		    cJSON_CreateString(MASK));
}

/* By the row, whatever the member came by: its option, --set or --file. */
static const char *
without_secrets(struct cli *c, const char *body)
{
	struct cJSON *root = NULL;
	const struct option *o;

	for (size_t at = 0;
	     (o = command_next(args_command(c), &at, false)) != NULL;) {
		if (o->secret == OPTION_OPEN)
			continue;
		if (!root)
			root = cJSON_Parse(body);
		mask_option(c, root, o);
	}
	if (root)
		body = json_text(c->arena, root);
	cJSON_Delete(root);
	return body;
}

/* --- the call --- */

/* What would be sent, and that it is not. */
static void
show_call(struct cli *c, const char *method, const char *path, const char *body)
{
	CLEANUP(buf_fini) struct buf b;
	struct json_w w;

	buf_init(&b, 0);
	if (!c->is_dry_told)
		out_tell("--dry-run: nothing was sent");
	c->is_dry_told = true;
	if (!c->as_json) {
		out_print("%s %s%s\n", method, c->server, path);
		if (body)
			out_json(body);
		return;
	}
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv_bool(&w, "dry_run", true);
	json_w_kv(&w, "method", method);
	json_w_kv(&w, "path", path);
	if (body)
		json_w_kv_raw(&w, "body", body);
	json_w_close(&w, '}');
	render_text(c, buf_cstr(&b));
}

bool
call_is_dry(struct cli *c, const char *method, const char *path,
    const char *body)
{
	if (!args_flag(c, "--dry-run"))
		return false;
	show_call(c, method, path, body ? without_secrets(c, body) : NULL);
	return true;
}
