#include "cli/top/frame_int.h"

#include <stdarg.h>

#include "cli/out.h"

const char *
frame_cut(struct arena *a, const char *text, size_t width)
{
	size_t n = 0, columns = 0;

	if (out_width(text) <= width)
		return text;
	while (text[n] && columns <= width) {
		columns += ((unsigned char)text[n] & 0xc0) != 0x80;
		if (columns <= width)
			n++;
	}
	return arena_strndup(a, text, n);
}

void
frame_add(struct making *m, bool is_head, bool is_alarm, const char *fmt, ...)
{
	struct frame *f = m->to;
	va_list ap;

	if (f->n == m->v->height)
		return;
	va_start(ap, fmt);
	f->lines[f->n] =
	    frame_cut(m->a, arena_vprintf(m->a, fmt, ap), m->v->width);
	va_end(ap);
	f->is_head[f->n] = is_head;
	f->is_alarm[f->n++] = is_alarm;
}
