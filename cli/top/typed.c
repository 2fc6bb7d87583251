#include "cli/top/typed.h"

#include <string.h>

#include "common/base/plain.h"

/* How many bytes the character has that begins so; 0: none does. */
static size_t
length_of(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first < 0xe0)
		return 2;
	if (first >= 0xe0 && first < 0xf0)
		return 3;
	return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

static int
is_inner(unsigned char byte)
{
	return (byte & 0xc0) == 0x80;
}

void
typed_take(struct typed *t, unsigned char byte)
{
	size_t n = strlen(t->begun), len = strlen(t->text);

	if (!is_inner(byte)) /* what was begun is no character */
		n = 0;
	else if (n == 0)
		return;
	t->begun[n++] = (char)byte;
	t->begun[n] = '\0';
	if (n < length_of((unsigned char)t->begun[0]))
		return;
	if (n == length_of((unsigned char)t->begun[0]) && byte != ' ' &&
	    plain_is_line(t->begun) && len + n <= TYPED_MAX)
		memcpy(t->text + len, t->begun, n + 1);
	t->begun[0] = '\0';
}

void
typed_back(struct typed *t)
{
	size_t n = strlen(t->text);

	t->begun[0] = '\0';
	while (n > 0 && is_inner((unsigned char)t->text[n - 1]))
		n--;
	t->text[n > 0 ? n - 1 : 0] = '\0';
}

void
typed_clear(struct typed *t)
{
	*t = (struct typed){.text = ""};
}
