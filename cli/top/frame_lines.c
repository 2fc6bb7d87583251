#include "cli/top/frame_int.h"

#include <stdarg.h>

#include "cli/out.h"

void
frame_add(struct making *m, bool is_head, bool is_alarm, const char *fmt, ...)
{
	struct frame *f = m->to;
	va_list ap;

	if (f->n == m->v->height)
		return;
	va_start(ap, fmt);
	f->lines[f->n] =
	    out_cut(m->a, arena_vprintf(m->a, fmt, ap), m->v->width);
	va_end(ap);
	f->is_head[f->n] = is_head;
	f->is_alarm[f->n++] = is_alarm;
}
