#include "cli/fold.h"

#include <string.h>

#include "cli/out.h"
#include "common/base/attr.h"
#include "common/base/buf.h"

const char *
fold_text(struct arena *a, size_t width, size_t at, size_t indent,
    const char *text)
{
	CLEANUP(buf_fini) struct buf b;
	const char *word = text + strspn(text, " ");
	bool is_first = true;

	buf_init(&b, 0);
	while (*word) {
		size_t n = strcspn(word, " "), columns;

		if (word[0] == '[' && memchr(word, ']', n) == NULL &&
		    strchr(word, ']'))
			n = (size_t)(strchr(word, ']') - word) + 1;
		columns = out_width(arena_strndup(a, word, n));
		if (!is_first && at + 1 + columns > width) {
			buf_printf(&b, "\n%*s", (int)indent, "");
			at = indent;
		} else if (!is_first) {
			buf_puts(&b, " ");
			at++;
		}
		buf_printf(&b, "%.*s", (int)n, word);
		at += columns;
		is_first = false;
		word += n;
		word += strspn(word, " ");
	}
	return arena_strdup(a, buf_cstr(&b));
}
