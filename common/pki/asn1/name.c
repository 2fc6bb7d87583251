#include "common/pki/asn1/name.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/pki/asn1/oid.h"

/* One character of text that is known to be UTF-8. */
static uint32_t
next_char(const uint8_t **p)
{
	uint32_t c = *(*p)++;
	unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

	if (more > 0)
		c &= 0x3fu >> more;
	for (; more > 0; more--)
		c = c << 6 | (*(*p)++ & 0x3f);
	return c;
}

static const char *
refuse_char(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return "a name contains a control character";
	if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
		return "a name contains a bidirectional control character";
	if ((c >= 0x200b && c <= 0x200d) || c == 0x2060 || c == 0xfeff)
		return "a name contains a zero-width character";
	return NULL;
}

const char *
name_refuse_text(const char *s, size_t len)
{
	const uint8_t *p = (const uint8_t *)s, *end = p + len;
	const char *why = NULL;

	if (len == 0)
		return "a name is empty";
	if (memchr(s, '\0', len))
		return "a name contains a control character";
	if (!enc_is_utf8(s, len))
		return "a name is not valid UTF-8";
	while (p < end && !why)
		why = refuse_char(next_char(&p));
	return why;
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
mixes_scripts(const char *s, size_t len)
{
	bool ascii = false, other = false;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '.')
			ascii = other = false;
		else if ((uint8_t)s[i] >= 0x80)
			other = true;
		else if (is_letter(s[i]))
			ascii = true;
		if (ascii && other)
			return true;
	}
	return false;
}

const char *
name_refuse_common_name(const char *s, size_t len)
{
	if (len > NAME_MAX_BYTES)
		return "the common name is longer than 253 bytes";
	if (mixes_scripts(s, len))
		return "the common name mixes ASCII and other letters in one "
		       "label";
	return name_refuse_text(s, len);
}

static const char *
refuse_dns(const char *s, size_t len)
{
	size_t label = 0;

	for (size_t i = 0; i < len; i++, label++) {
		if (s[i] == '.') {
			if (label < 1)
				return "a DNS name has an empty label";
			label = (size_t)-1;
		} else if (label >= 63) {
			return "a DNS name has a label longer than 63 bytes";
		}
	}
	if (label < 1)
		return "a DNS name has an empty label";
	return NULL;
}

/* IA5String by RFC 5280 section 4.2.1.6, and nothing that cannot be seen. */
static const char *
refuse_ascii(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((uint8_t)s[i] >= 0x80)
			return "an alternative name is not ASCII; write "
			       "international names in their xn-- form";
		if (s[i] <= ' ' || s[i] == 0x7f)
			return "an alternative name contains a space or "
			       "control character";
	}
	return NULL;
}

const char *
name_refuse_san(enum san_type type, const char *s, size_t len)
{
	const char *why, *at;

	if (len == 0)
		return "a name is empty";
	if (len > (type == SAN_URI ? NAME_URI_MAX_BYTES : NAME_MAX_BYTES))
		return "an alternative name is too long";
	why = refuse_ascii(s, len);
	if (why)
		return why;
	switch (type) {
	case SAN_DNS:
		return refuse_dns(s, len);
	case SAN_EMAIL:
		at = memchr(s, '@', len);
		if (!at || at == s || at == s + len - 1 ||
		    memchr(at + 1, '@', (size_t)(s + len - at - 1)))
			return "an e-mail name is not of the form user@host";
		return NULL;
	case SAN_URI:
		at = memchr(s, ':', len);
		if (!at || at == s)
			return "a URI name has no scheme";
		return NULL;
	case SAN_IP:
		break;
	}
	return "an alternative name has an unsupported type";
}

enum san_type
name_classify(const char *text, uint8_t *addr, size_t *addr_len)
{
	if (inet_pton(AF_INET, text, addr) == 1) {
		*addr_len = 4;
		return SAN_IP;
	}
	if (inet_pton(AF_INET6, text, addr) == 1) {
		*addr_len = 16;
		return SAN_IP;
	}
	if (strstr(text, "://"))
		return SAN_URI;
	return strchr(text, '@') ? SAN_EMAIL : SAN_DNS;
}

void
name_print_ip(const uint8_t *addr, size_t addr_len, char *out)
{
	/* 46 bytes hold any address, so there is nothing to fail. */
	(void)inet_ntop(addr_len == 4 ? AF_INET : AF_INET6, addr, out,
	    INET6_ADDRSTRLEN);
}

void
name_fill_text(struct arena *a, struct span text, struct san *out)
{
	char *s = arena_strndup(a, (const char *)text.p, text.len);

	for (char *p = s; out->type == SAN_DNS && *p; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	}
	out->text = s;
	out->octets = (struct span){(const uint8_t *)s, text.len};
}

void
name_fill_address(struct arena *a, struct span octets, struct san *out)
{
	uint8_t *copy = arena_alloc(a, octets.len);
	char ip[INET6_ADDRSTRLEN];

	memcpy(copy, octets.p, octets.len);
	name_print_ip(octets.p, octets.len, ip);
	out->type = SAN_IP;
	out->text = arena_strdup(a, ip);
	out->octets = (struct span){copy, octets.len};
}

const char *
name_read(struct arena *a, const char *text, struct san *out)
{
	uint8_t addr[16];
	size_t len = 0;
	const char *why;

	out->type = name_classify(text, addr, &len);
	if (out->type == SAN_IP) {
		name_fill_address(a, (struct span){addr, len}, out);
		return NULL;
	}
	why = name_refuse_san(out->type, text, strlen(text));
	if (!why)
		name_fill_text(a, span_of_text(text), out);
	return why;
}

const struct san *
name_find(const struct san *list, size_t n, const struct san *name)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].type == name->type &&
		    span_equal(list[i].octets, name->octets))
			return &list[i];
	}
	return NULL;
}

void
name_put(struct der_out *w, const struct san *name)
{
	static const uint8_t numbers[] =
	    {[SAN_EMAIL] = 1, [SAN_DNS] = 2, [SAN_URI] = 6, [SAN_IP] = 7};

	der_put_value(w, (uint8_t)(DER_CONTEXT | numbers[name->type]),
	    name->octets);
}

void
name_put_subject(struct der_out *w, const char *common_name)
{
	uint8_t *mark = der_mark(w);

	if (common_name) {
		der_put_value(w, DER_UTF8, span_of_text(common_name));
		der_put_value(w, DER_OID, oid_common_name);
		der_put_head(w, DER_SEQUENCE, mark);
		der_put_head(w, DER_SET, mark);
	}
	der_put_head(w, DER_SEQUENCE, mark);
}
