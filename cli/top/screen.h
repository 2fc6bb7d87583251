/*
 * screen: a terminal that frames are shown on, by ncurses: only what differs
 * from what stands there is sent.
 */
#ifndef CLI_TOP_SCREEN_H
#define CLI_TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/top/frame.h"
#include "common/base/attr.h"

/* false: the terminal (TERM) can't be used, which is told. */
bool screen_begin(void) MUST_CHECK;
/* The terminal as it was; may be called twice. */
void screen_end(void);
void screen_size(size_t *out_width, size_t *out_height);
void screen_show(const struct frame *f);
/* The next key within ms; 0: none.  Of special keys only SCREEN_BACKSPACE,
 * SCREEN_RESIZED and the end of input are told. */
int screen_key(int ms);
enum { SCREEN_BACKSPACE = 8, SCREEN_RESIZED = -1, SCREEN_GONE = -2 };

#endif
