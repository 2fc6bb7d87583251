#include "cli/import/words.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/enc.h"

enum { ID_MAX = 100, ID_HASH = 12 };

const char *
words_shell(struct arena *a, const char *text)
{
	const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
			    "XYZ0123456789/._-+:@%";
	CLEANUP(buf_fini) struct buf b;

	buf_init(&b, 0);
	if (text[0] && strspn(text, plain) == strlen(text))
		return text;
	buf_putc(&b, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			buf_puts(&b, "'\\''");
		else
			buf_putc(&b, *text);
	}
	buf_putc(&b, '\'');
	return arena_strdup(a, buf_cstr(&b));
}

static char
id_char(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", c) ? c : '-';
}

const char *
words_id(struct arena *a, const char *prefix, const char *text)
{
	CLEANUP(buf_fini) struct buf b;
	char hash[65];

	buf_init(&b, 0);
	buf_puts(&b, prefix);
	for (const char *p = text; *p; p++) {
		if (*p == '*')
			buf_puts(&b, "wildcard");
		else
			buf_putc(&b, id_char(*p));
	}
	if (b.len <= ID_MAX)
		return arena_strdup(a, buf_cstr(&b));
	enc_sha256_hex(text, strlen(text), hash);
	return arena_printf(a, "%.*s-%.*s", ID_MAX - ID_HASH - 1, buf_cstr(&b),
	    ID_HASH, hash);
}
