#include "cli/stream.h"

#include <stdio.h>
#include <string.h>

enum {
	LINE_MAX_BYTES = 1024 * 1024,
};

void
stream_init(struct stream *s, bool (*take)(void *arg, const char *data),
    void *arg)
{
	*s = (struct stream){.take = take, .arg = arg};
	buf_init(&s->line, LINE_MAX_BYTES);
	buf_init(&s->data, LINE_MAX_BYTES);
}

void
stream_fini(struct stream *s)
{
	buf_fini(&s->line);
	buf_fini(&s->data);
}

void
stream_begin(struct stream *s)
{
	buf_reset(&s->line);
	buf_reset(&s->data);
	s->has_id = false;
}

/* The empty line: what came is whole. */
static bool
end_block(struct stream *s)
{
	bool goes_on = true;

	s->nblocks++;
	if (s->has_id)
		memcpy(s->last_id, s->id, sizeof(s->last_id));
	if (s->data.len > 0)
		goes_on = s->take(s->arg, buf_cstr(&s->data));
	s->has_id = false;
	buf_reset(&s->data);
	return goes_on;
}

/* "name: value" or "name:value"; a comment begins with the colon. */
static bool
take_line(struct stream *s, const char *line)
{
	const char *value = strchr(line, ':');
	size_t len = value ? (size_t)(value - line) : strlen(line);

	if (*line == '\0')
		return end_block(s);
	value = value ? value + 1 : "";
	if (*value == ' ')
		value++;
	if (len == 2 && memcmp(line, "id", 2) == 0) {
		/* One that does not fit was not sent by us. */
		if (strlen(value) >= sizeof(s->id))
			return false;
		(void)snprintf(s->id, sizeof(s->id), "%s", value);
		s->has_id = true;
	} else if (len == 4 && memcmp(line, "data", 4) == 0) {
		if (s->data.len > 0)
			buf_putc(&s->data, '\n');
		buf_puts(&s->data, value);
	}
	return buf_ok(&s->data);
}

bool
stream_bytes(struct stream *s, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool goes_on;

		if (bytes[i] == '\r' || bytes[i] == '\0')
			continue;
		if (bytes[i] != '\n') {
			buf_putc(&s->line, bytes[i]);
			continue;
		}
		goes_on = buf_ok(&s->line) && take_line(s, buf_cstr(&s->line));
		buf_reset(&s->line);
		if (!goes_on)
			return false;
	}
	return buf_ok(&s->line);
}
