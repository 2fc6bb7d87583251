/*
 * test_term: no width and no colour where there is no terminal, unless colour
 * is asked for.
 */
#include "cli/term.h"

#include <pty.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/out.h"
#include "tests/unit/check.h"
#include "tests/unit/cli/capture.h"

static void
what_is_no_terminal_has_no_width_and_no_colour(void)
{
	size_t columns;
	bool has_color;

	(void)setenv("COLUMNS", "100", 1);
	(void)setenv("TERM", "xterm", 1);
	capture_begin();
	columns = term_columns();
	has_color = term_has_color(stdout);
	capture_end();
	CHECK_INT(columns, 0);
	CHECK(!has_color);
}

static void
colour_can_be_asked_for(void)
{
	(void)setenv("NO_COLOR", "1", 1);
	term_set_color(TERM_COLOR_ALWAYS);
	capture_begin();
	out_print_painted(TERM_BAD, "Failed\x1b[2J");
	out_print_painted(TERM_PLAIN, "x");
	capture_end();
	CHECK_STR(captured_out(), "\x1b[31mFailed\\x1b[2J\x1b[0mx");
	term_set_color(TERM_COLOR_NEVER);
	capture_begin();
	out_print_painted(TERM_BAD, "Failed");
	capture_end();
	CHECK_STR(captured_out(), "Failed");
	term_set_color(TERM_COLOR_AUTO);
}

static void
a_terminal_has_a_width_and_colour(void)
{
	struct winsize size = {.ws_col = 132, .ws_row = 24};
	int master, slave, was = dup(STDOUT_FILENO);
	size_t said, asked, odd;
	bool plain, colored, dumb;

	CHECK_INT(openpty(&master, &slave, NULL, NULL, &size), 0);
	(void)fflush(stdout);
	CHECK(dup2(slave, STDOUT_FILENO) >= 0);
	said = term_columns();
	(void)unsetenv("COLUMNS");
	asked = term_columns();
	(void)setenv("COLUMNS", "5", 1);
	odd = term_columns();
	plain = term_has_color(stdout);
	(void)setenv("NO_COLOR", "", 1);
	colored = term_has_color(stdout);
	(void)setenv("TERM", "dumb", 1);
	dumb = term_has_color(stdout);
	CHECK(dup2(was, STDOUT_FILENO) >= 0);
	(void)close(was);
	(void)close(slave);
	(void)close(master);
	CHECK_INT(said, 100);
	CHECK_INT(asked, 132);
	CHECK_INT(odd, 132);
	CHECK(!plain && colored && !dumb);
}

static void
statuses_have_a_paint(void)
{
	CHECK_INT(term_paint_of("Active"), TERM_GOOD);
	CHECK_INT(term_paint_of("Running"), TERM_BUSY);
	CHECK_INT(term_paint_of("Failed"), TERM_BAD);
	CHECK_INT(term_paint_of("a name"), TERM_PLAIN);
}

CHECK_MAIN(CHECK_ROW(what_is_no_terminal_has_no_width_and_no_colour),
    CHECK_ROW(colour_can_be_asked_for),
    CHECK_ROW(a_terminal_has_a_width_and_colour),
    CHECK_ROW(statuses_have_a_paint))
