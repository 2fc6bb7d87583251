#include "apiserver/edge/http1_chunks.h"

#include "common/base/enc.h"

enum { SIZE_DIGITS = 16 }; /* leading zeros included */

enum state {
	SIZE,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	/* chunk-ext: BWS ";" BWS name [ BWS "=" BWS ( token / quoted ) ] */
	EXT,          /* blanks, then ";" */
	EXT_NAME_AT,  /* blanks, then a name */
	EXT_NAME,     /* in it */
	EXT_AFTER,    /* blanks behind it, then "=" or ";" */
	EXT_VALUE_AT, /* blanks, then a value */
	EXT_TOKEN,    /* in it */
	EXT_QUOTED,   /* in a quoted one */
	EXT_ESCAPED,  /* behind its backslash */
	EXT_UNQUOTED, /* right behind its end */
	/* trailers, and the empty line that ends them */
	TRAILER_AT,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
	DONE,
	BROKEN,
};

void
http1_chunks_init(struct http1_chunks *c, uint64_t max_body)
{
	*c = (struct http1_chunks){.state = SIZE, .room = max_body};
}

static bool
is_blank(char b)
{
	return b == ' ' || b == '\t';
}

/* --- sizes --- */

static enum state
on_size(struct http1_chunks *c, char b)
{
	int value = enc_hex_value(b);

	if (value >= 0) {
		if (++c->digits > SIZE_DIGITS)
			return BROKEN;
		c->left = c->left << 4 | (uint64_t)value;
		return SIZE;
	}
	if (c->digits == 0)
		return BROKEN;
	if (b == '\r')
		return SIZE_LF;
	if (b == ';')
		return EXT_NAME_AT;
	return is_blank(b) ? EXT : BROKEN;
}

static enum state
on_size_end(struct http1_chunks *c, char b)
{
	if (b != '\n')
		return BROKEN;
	return c->left > 0 ? DATA : TRAILER_AT;
}

static enum state
on_data_end(struct http1_chunks *c, char b)
{
	if (b != '\n')
		return BROKEN;
	c->digits = 0;
	return SIZE;
}

/* --- extensions --- */

/* What may stand behind a whole extension. */
static enum state
after_ext(char b)
{
	if (b == '\r')
		return SIZE_LF;
	if (b == ';')
		return EXT_NAME_AT;
	return is_blank(b) ? EXT : BROKEN;
}

static enum state
on_ext_name(enum state state, char b)
{
	if (http1_is_token_char(b))
		return EXT_NAME;
	if (state == EXT_NAME_AT)
		return is_blank(b) ? EXT_NAME_AT : BROKEN;
	if (b == '=')
		return EXT_VALUE_AT;
	if (is_blank(b))
		return EXT_AFTER;
	return after_ext(b);
}

static enum state
on_ext_after(char b)
{
	if (is_blank(b))
		return EXT_AFTER;
	if (b == '=')
		return EXT_VALUE_AT;
	return b == ';' ? EXT_NAME_AT : BROKEN;
}

static enum state
on_ext_value(enum state state, char b)
{
	switch (state) {
	case EXT_VALUE_AT:
		if (b == '"')
			return EXT_QUOTED;
		if (is_blank(b))
			return EXT_VALUE_AT;
		return http1_is_token_char(b) ? EXT_TOKEN : BROKEN;
	case EXT_TOKEN:
		return http1_is_token_char(b) ? EXT_TOKEN : after_ext(b);
	case EXT_QUOTED:
		if (b == '"')
			return EXT_UNQUOTED;
		if (b == '\\')
			return EXT_ESCAPED;
		return http1_is_value_char(b) ? EXT_QUOTED : BROKEN;
	case EXT_ESCAPED:
		return http1_is_value_char(b) ? EXT_QUOTED : BROKEN;
	default:
		return after_ext(b);
	}
}

static enum state
on_ext(enum state state, char b)
{
	switch (state) {
	case EXT:
		if (is_blank(b))
			return EXT;
		return b == ';' ? EXT_NAME_AT : BROKEN;
	case EXT_NAME_AT:
	case EXT_NAME:
		return on_ext_name(state, b);
	case EXT_AFTER:
		return on_ext_after(b);
	default:
		return on_ext_value(state, b);
	}
}

/* --- trailers --- */

static enum state
on_trailer(enum state state, char b)
{
	switch (state) {
	case TRAILER_AT:
		if (b == '\r')
			return END_LF;
		return http1_is_token_char(b) ? TRAILER_NAME : BROKEN;
	case TRAILER_NAME:
		if (b == ':')
			return TRAILER_VALUE;
		return http1_is_token_char(b) ? TRAILER_NAME : BROKEN;
	case TRAILER_VALUE:
		if (b == '\r')
			return TRAILER_LF;
		return http1_is_value_char(b) ? TRAILER_VALUE : BROKEN;
	case TRAILER_LF:
		return b == '\n' ? TRAILER_AT : BROKEN;
	default:
		return b == '\n' ? DONE : BROKEN;
	}
}

/* --- the whole --- */

static enum state
on_byte(struct http1_chunks *c, char b)
{
	enum state state = (enum state)c->state;

	switch (state) {
	case SIZE:
		return on_size(c, b);
	case SIZE_LF:
		return on_size_end(c, b);
	case DATA_CR:
		return b == '\r' ? DATA_LF : BROKEN;
	case DATA_LF:
		return on_data_end(c, b);
	case TRAILER_AT:
	case TRAILER_NAME:
	case TRAILER_VALUE:
	case TRAILER_LF:
	case END_LF:
		c->extra++;
		return on_trailer(state, b);
	case DATA:
	case DONE:
	case BROKEN:
		return BROKEN;
	default:
		c->extra++;
		return on_ext(state, b);
	}
}

static size_t
take_data(struct http1_chunks *c, size_t len)
{
	size_t n = c->left < len ? (size_t)c->left : len;

	c->left -= n;
	if (c->left == 0)
		c->state = DATA_CR;
	return n;
}

static rc
check(struct http1_chunks *c, struct http1_error *out_error)
{
	if (c->state == BROKEN)
		return http1_refuse(out_error, 400,
		    "the chunked body is malformed");
	if (c->extra > HTTP1_CHUNKS_EXTRA_MAX) {
		c->state = BROKEN;
		return http1_refuse(out_error, 400,
		    "the chunked body has too long extensions or trailers");
	}
	if (c->state == DATA && c->left > c->room) {
		c->state = BROKEN;
		return http1_refuse(out_error, 413,
		    "the request body is too large");
	}
	if (c->state == DATA)
		c->room -= c->left;
	return RC_OK;
}

rc
http1_chunks_take(struct http1_chunks *c, const char *bytes, size_t len,
    size_t *out_used, const char **out_data, size_t *out_data_len,
    struct http1_error *out_error)
{
	size_t used = 0;
	rc ret;

	*out_data = bytes;
	*out_data_len = 0;
	while (used < len && c->state != DATA && c->state != DONE) {
		c->state = (int)on_byte(c, bytes[used++]);
		ret = check(c, out_error);
		if (ret != RC_OK)
			return ret;
	}
	if (c->state == DATA) {
		*out_data = bytes + used;
		*out_data_len = take_data(c, len - used);
		used += *out_data_len;
	}
	*out_used = used;
	return c->state == DONE ? RC_OK : RC_BUSY;
}
