#include "cli/render_view.h"

#include <ctype.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/out.h"
#include "common/json/json.h"

const struct cJSON *
render_first(const struct render_view *v)
{
	return v->rows ? v->rows->child : v->json;
}

const struct cJSON *
render_next(const struct render_view *v, const struct cJSON *row)
{
	return v->rows ? row->next : NULL;
}

const struct cJSON *
render_member(struct cli *c, const struct cJSON *row, const char *path)
{
	const struct cJSON *found = json_get(row, path);
	const char *dot = strchr(path, '.');

	if (found || !dot)
		return found;
	found =
	    json_get(row, arena_strndup(c->arena, path, (size_t)(dot - path)));
	return found ? render_member(c, found, dot + 1) : NULL;
}

const char *
render_head(struct cli *c, const char *member)
{
	char *head = arena_strdup(c->arena, out_harmless(c->arena, member));

	for (char *p = head; *p; p++)
		*p = (char)(*p == '_' ? ' ' : toupper((unsigned char)*p));
	return head;
}
