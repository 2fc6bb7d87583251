#include "cli/top/screen.h"

#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/out.h"
#include "common/base/attr.h"

static SCREEN *terminal;

/* --- ended by a signal --- */

/* What puts the terminal back, made before it is needed: little may be called
 * while a signal is taken. */
static struct {
	struct termios modes;
	char text[128];
	size_t n;
} back;

static const int signals[] = {SIGINT, SIGTERM};

static bool
has_capability(const char *name)
{
	const char *text = tigetstr(name);

	return text && text != (const char *)-1;
}

/* Without the pauses ("$<5>") that are for terminals of old. */
static void
add_capability(const char *name)
{
	if (!has_capability(name))
		return;
	for (const char *p = tigetstr(name); *p && back.n < sizeof(back.text);
	     p++) {
		const char *end =
		    p[0] == '$' && p[1] == '<' ? strchr(p, '>') : NULL;

		if (end)
			p = end;
		else
			back.text[back.n++] = *p;
	}
}

/* It goes on to what the signal does by itself, so that who waits for certctl
 * learns of what it ended. */
static void
leave(int sig)
{
	IGNORE_RESULT(write(STDOUT_FILENO, back.text, back.n));
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &back.modes);
	(void)raise(sig);
}

static void
watch_signals(void)
{
	struct sigaction how = {.sa_handler = leave};

	/* Ours in the place of those of curses, which end with 1. */
	how.sa_flags = (int)(SA_RESETHAND | SA_NODEFER);
	back.n = 0;
	add_capability("sgr0");
	add_capability("cnorm");
	add_capability("rmkx");
	add_capability("rmcup");
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)sigaction(signals[i], &how, NULL);
}

/* --- the screen --- */

static bool
refuse(void)
{
	const char *name = getenv("TERM");

	out_error("the terminal \"%s\" (TERM) can't be used; certctl top "
		  "--once prints one frame as text",
	    name ? name : "");
	return false;
}

bool
screen_begin(void)
{
	(void)setlocale(LC_CTYPE, ""); /* widths of what is shown */
	(void)tcgetattr(STDIN_FILENO, &back.modes);
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal)
		return refuse();
	if (!has_capability("cup")) { /* nothing can be placed: "dumb" */
		screen_end();
		return refuse();
	}
	watch_signals();
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
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		(void)signal(signals[i], SIG_DFL);
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
