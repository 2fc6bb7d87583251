/*
 * fuzz_path: request targets.  What comes out is bounded, lies in the copy,
 * and contains nothing that could not stand in a text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/policy/path.h"
#include "common/base/enc.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(const char *text, const char *copy, size_t size)
{
	if (text < copy || text > copy + size || strlen(text) > size ||
	    !enc_is_utf8(text, strlen(text)))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = mem_strndup((const char *)data, size);
	struct path p;
	rc ret = path_parse(copy, &p);

	if (ret == RC_OK) {
		if (p.nsegments < 1 || p.nsegments > PATH_SEGMENTS_MAX ||
		    p.nquery > PATH_QUERY_MAX)
			abort();
		for (size_t i = 0; i < p.nsegments; i++) {
			check_text(p.segments[i], copy, size);
			if (path_id_is_valid(p.segments[i]) &&
			    strpbrk(p.segments[i], "/\\'\" %"))
				abort();
		}
		for (size_t i = 0; i < p.nquery; i++) {
			check_text(p.query[i].name, copy, size);
			check_text(p.query[i].value, copy, size);
			if (!path_query(&p, p.query[i].name))
				abort();
		}
	}
	free(copy);
	return 0;
}
