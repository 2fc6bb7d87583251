#include "cli/import/import.h"

void
import_init(struct import *im, struct arena *a)
{
	*im = (struct import){.arena = a};
}

void
import_note(struct import *im, const char *path, const char *why)
{
	if (im->nnotes < IMPORT_NOTES_MAX)
		im->notes[im->nnotes] =
		    arena_printf(im->arena, "%s: %s", path, why);
	im->nnotes++;
}

struct import_found *
import_add(struct import *im, const char *tool, const char *name,
    const char *source)
{
	struct import_found **end = &im->found, *f;

	if (im->nfound == IMPORT_FOUND_MAX) {
		import_note(im, source,
		    "passed over: more certificates than one run takes; name "
		    "fewer directories");
		return NULL;
	}
	while (*end)
		end = &(*end)->next;
	f = arena_alloc(im->arena, sizeof(*f));
	*f = (struct import_found){.tool = tool,
	    .name = name,
	    .source = source,
	    .issuer_dn = "",
	    .not_before = "",
	    .not_after = "",
	    .key = "",
	    .fingerprint_sha256 = "",
	    .serial_number = "",
	    .pem = ""};
	*end = f;
	im->nfound++;
	return f;
}

void
import_add_use(struct import *im, const struct import_use *use)
{
	struct import_use **end = &im->uses, *u;

	if (im->nuses == IMPORT_USES_MAX) {
		import_note(im, use->file,
		    "passed over: more uses of certificates than one run "
		    "takes");
		return;
	}
	while (*end)
		end = &(*end)->next;
	u = arena_alloc(im->arena, sizeof(*u));
	*u = *use;
	u->next = NULL;
	*end = u;
	im->nuses++;
}

void
import_pass_over(struct import *im, const char *path, const char *why)
{
	struct import_passed **end = &im->passed, *p;

	if (im->npassed++ >= IMPORT_FOUND_MAX)
		return;
	while (*end)
		end = &(*end)->next;
	p = arena_alloc(im->arena, sizeof(*p));
	*p = (struct import_passed){.path = path, .why = why};
	*end = p;
}
