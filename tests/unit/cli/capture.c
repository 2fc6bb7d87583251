#include "tests/unit/cli/capture.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

struct stream {
	FILE *was, *is;
	char *text;
	size_t len;
};

static struct stream out, error;

static FILE *
swap(struct stream *s, FILE *was)
{
	free(s->text);
	s->text = NULL;
	s->was = was;
	s->is = open_memstream(&s->text, &s->len);
	if (!s->is)
		err(1, "open_memstream");
	return s->is;
}

void
capture_begin(void)
{
	(void)fflush(stdout);
	stdout = swap(&out, stdout);
	stderr = swap(&error, stderr);
}

void
capture_end(void)
{
	stdout = out.was;
	stderr = error.was;
	if (fclose(out.is) != 0 || fclose(error.is) != 0)
		err(1, "capture");
}

const char *
captured_out(void)
{
	return out.text ? out.text : "";
}

const char *
captured_err(void)
{
	return error.text ? error.text : "";
}
