#include "cli/top/screen.h"

#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/out.h"

static SCREEN *terminal;

bool
screen_begin(void)
{
	(void)setlocale(LC_CTYPE, ""); /* widths of what is shown */
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal) {
		out_error("the terminal \"%s\" (TERM) can't be used; certctl "
			  "top --once prints one frame as text",
		    getenv("TERM") ? getenv("TERM") : "");
		return false;
	}
	(void)cbreak();
	(void)noecho();
	(void)keypad(stdscr, TRUE);
	(void)set_escdelay(50); /* Esc alone is a key too */
	(void)curs_set(0);
	return true;
}

void
screen_end(void)
{
	if (!terminal)
		return;
	(void)endwin();
	delscreen(terminal);
	terminal = NULL;
}

void
screen_size(size_t *out_width, size_t *out_height)
{
	int width, height;

	getmaxyx(stdscr, height, width);
	*out_width = width > 40 ? (size_t)width : 40;
	*out_height = height > 8 ? (size_t)height : 8;
}

void
screen_show(const struct frame *f)
{
	(void)erase();
	for (size_t i = 0; i < f->n; i++) {
		attr_t how = f->is_head[i]    ? A_REVERSE
			     : f->is_alarm[i] ? A_BOLD
					      : A_NORMAL;

		(void)attrset((int)how);
		(void)mvaddstr((int)i, 0, f->lines[i]);
		if (f->is_head[i])
			(void)chgat(-1, A_REVERSE, 0, NULL);
	}
	(void)refresh();
}

int
screen_key(int ms)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	int key;

	timeout(ms);
	key = getch();
	if (key == KEY_RESIZE)
		return SCREEN_RESIZED;
	if (key == KEY_BACKSPACE || key == 127 || key == 8)
		return SCREEN_BACKSPACE;
	if (key == ERR)
		return poll(&in, 1, 0) > 0 && (in.revents & (POLLHUP | POLLERR))
			   ? SCREEN_GONE
			   : 0;
	return key > 0 && key < 256 ? key : 0;
}
