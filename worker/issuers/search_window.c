#include "worker/issuers/search_window.h"

/* Of one without an end that begins behind all that was to be expected. */
#define FAR_S 3600

bool
search_window_halve(struct search_window *w, int64_t soon_unix)
{
	if (w->len_s == 1)
		return false;
	if (w->len_s == 0)
		w->len_s =
		    w->from_unix < soon_unix ? soon_unix - w->from_unix : FAR_S;
	w->len_s = (w->len_s + 1) / 2;
	return true;
}

/* Twice as long as one that was short enough: most of what a CA has stands
 * close together. */
bool
search_window_next(struct search_window *w, int64_t soon_unix)
{
	if (w->len_s == 0)
		return false;
	w->from_unix += w->len_s;
	w->len_s = w->from_unix < soon_unix ? 2 * w->len_s : 0;
	return true;
}
