/*
 * A line of a journal: its fields, and reading one back.
 */
#include <ctype.h>
#include <string.h>

#include "common/base/enc.h"
#include "worker/issuers/journal.h"
#include "worker/issuers/journal_file.h"

bool
journal_is_hex_of(const char *s, size_t len)
{
	return strnlen(s, len + 1) == len && enc_is_lower_hex(s, len);
}

bool
journal_is_job_id(const char *s, size_t len)
{
	if (len < 1 || len > JOURNAL_JOB_ID_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isgraph((unsigned char)s[i]))
			return false;
	}
	return true;
}

/* The next field, up to a space or the end; empty when there is none. */
static bool
take_field(const char **p, const char *end, char *out, size_t cap)
{
	const char *stop = memchr(*p, ' ', (size_t)(end - *p));
	size_t len;

	if (!stop)
		stop = end;
	len = (size_t)(stop - *p);
	if (len < 1 || len >= cap)
		return false;
	memcpy(out, *p, len);
	out[len] = '\0';
	*p = stop < end ? stop + 1 : end;
	return true;
}

static bool
is_base64(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)s[i]) && !strchr("+/=", s[i]))
			return false;
	}
	return len > 0 && len % 4 == 0;
}

/* What follows the certificate's id in a line that has the certificate. */
static bool
take_leaf(const char **p, const char *end, struct journal_line *l)
{
	const char *stop;

	if (!take_field(p, end, l->agent_id, sizeof(l->agent_id)) ||
	    !take_field(p, end, l->ca_sha256_hex, sizeof(l->ca_sha256_hex)) ||
	    !journal_is_hex_of(l->ca_sha256_hex, SHA256_DIGITS))
		return false;
	stop = memchr(*p, ' ', (size_t)(end - *p));
	if (!stop)
		return false;
	l->leaf = *p;
	l->leaf_len = (size_t)(stop - *p);
	l->row = stop + 1;
	l->row_len = (size_t)(end - l->row);
	*p = end;
	return is_base64(l->leaf, l->leaf_len) && is_base64(l->row, l->row_len);
}

/* "" for "-"; false for what is no id. */
static bool
read_id(char *id)
{
	if (strcmp(id, NO_ID) == 0)
		id[0] = '\0';
	return id[0] == '\0' || journal_is_job_id(id, strlen(id));
}

rc
journal_read_line(const char *line, size_t len, struct journal_line *out)
{
	const char *p = line, *end = line + len;
	struct journal_line l = {0};
	bool whole;

	whole =
	    take_field(&p, end, l.time, sizeof(l.time)) &&
	    take_field(&p, end, l.serial_hex, sizeof(l.serial_hex)) &&
	    take_field(&p, end, l.tbs_sha256_hex, sizeof(l.tbs_sha256_hex)) &&
	    take_field(&p, end, l.job_id, sizeof(l.job_id));
	if (whole && p != end)
		whole = take_field(&p, end, l.certificate_id,
		    sizeof(l.certificate_id));
	if (whole && p != end)
		whole = take_leaf(&p, end, &l);
	if (!whole || p != end || line[len - 1] == ' ')
		return RC_INVALID;
	if (!journal_is_hex_of(l.serial_hex, SERIAL_DIGITS) ||
	    !journal_is_hex_of(l.tbs_sha256_hex, SHA256_DIGITS) ||
	    !journal_is_job_id(l.job_id, strlen(l.job_id)) ||
	    !read_id(l.certificate_id) || !read_id(l.agent_id))
		return RC_INVALID;

	*out = l;
	return RC_OK;
}
