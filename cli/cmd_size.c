/*
 * size: the load of so many certificates and agents, and settings for it, by
 * the measured model; asks no server.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"
#include "cli/render.h"
#include "cli/size.h"
#include "common/base/enc.h"
#include "common/json/json.h"

#define LIFETIME_LEAST_MS 3600000.0       /* an hour */
#define LIFETIME_MOST_MS (3650 * 86400e3) /* ten years */

static const struct {
	enum size_part part;
	const char *name, *title;
} parts[] = {
    {SIZE_LOAD, "load", "load"},
    {SIZE_DISK, "disk", "what PostgreSQL writes and keeps"},
    {SIZE_MEMORY, "memory", "memory"},
    {SIZE_SETTINGS, "settings", "settings"},
};

/* Of "47d", "36h" or "90m". */
static bool
read_lifetime(struct cli *c, const char *text, double *out_s)
{
	size_t n = strlen(text);
	int64_t ms = 0, days;
	rc ret;

	if (n > 1 && text[n - 1] == 'd') {
		ret = enc_parse_i64(arena_strndup(c->arena, text, n - 1), 1,
		    3650, &days);
		if (ret == RC_OK)
			ms = days * 86400000;
	} else {
		ret = enc_parse_duration_ms(text, &ms);
	}
	if (ret == RC_OK && (double)ms >= LIFETIME_LEAST_MS &&
	    (double)ms <= LIFETIME_MOST_MS) {
		*out_s = (double)ms / 1000;
		return true;
	}
	out_error("--lifetime is \"%s\"; it takes whole days, 47d, or a "
		  "duration like 36h, from 1h to 3650d",
	    text);
	return false;
}

/* A number with three decimals at most, above 0. */
static bool
read_rate(const char *text, double *out_rate)
{
	size_t whole = strspn(text, "0123456789"), part = 0;
	const char *rest = text + whole;

	if (*rest == '.') {
		part = strspn(rest + 1, "0123456789");
		rest += 1 + part;
	}
	if (*rest == '\0' && whole >= 1 && whole <= 6 && part <= 3 &&
	    (part > 0 || text[whole] == '\0')) {
		*out_rate = strtod(text, NULL);
		if (*out_rate > 0)
			return true;
	}
	out_error("--ca-rate is \"%s\"; it takes certificates a second that "
		  "the CA gives, 0.001 to 999999, with three decimals at most",
	    text);
	return false;
}

static bool
read_input(struct cli *c, struct size_input *in)
{
	const char *rate = args_value(c, "--ca-rate");

	/* The row requires these, and has seen that they are numbers. */
	in->certificates = strtoll(args_value(c, "--certificates"), NULL, 10);
	in->agents = strtoll(args_value(c, "--agents"), NULL, 10);
	return read_lifetime(c, args_value(c, "--lifetime"), &in->lifetime_s) &&
	       (rate == NULL || read_rate(rate, &in->ca_rate));
}

/* --- as text --- */

static void
print_line(struct cli *c, const struct size_line *l)
{
	const char *unit = strcmp(l->unit, "bytes") == 0 ? "" : l->unit;

	if (isnan(l->value))
		out_print("  %-29s not measured\n      %s\n", l->name,
		    l->arithmetic);
	else
		out_print("  %-29s %s%s%s\n      = %s\n", l->name,
		    size_shown(c->arena, l->value, l->unit), unit[0] ? " " : "",
		    unit, l->arithmetic);
}

static void
print_text(struct cli *c, const struct size *s)
{
	for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
		out_print("%s%s\n", p ? "\n" : "", parts[p].title);
		for (size_t i = 0; i < s->nlines; i++) {
			if (s->lines[i].part == parts[p].part)
				print_line(c, &s->lines[i]);
		}
	}
	out_print("\nmeasured facts behind it\n");
	for (size_t i = 0; i < FACTS; i++) {
		const struct size_fact *f = &s->facts[i];

		if (s->used[i] && f->is_known)
			out_print("  %-29s %s, %s (%s)\n", f->name,
			    size_shown(c->arena, f->value, f->unit), f->what,
			    f->origin);
	}
	for (size_t i = 0; i < s->nwarnings; i++)
		out_print("%swarning: %s\n", i ? "" : "\n", s->warnings[i]);
}

/* --- as JSON --- */

static void
put_number(struct cli *c, struct json_w *w, const char *key, double value)
{
	json_w_kv_raw(w, key,
	    isnan(value) ? "null" : arena_printf(c->arena, "%.10g", value));
}

static void
put_part(struct cli *c, struct json_w *w, const struct size *s, size_t p)
{
	json_w_key(w, parts[p].name);
	json_w_open(w, '{');
	for (size_t i = 0; i < s->nlines; i++) {
		if (s->lines[i].part == parts[p].part)
			put_number(c, w, s->lines[i].name, s->lines[i].value);
	}
	json_w_close(w, '}');
}

static void
put_arithmetic(struct json_w *w, const struct size *s)
{
	json_w_key(w, "arithmetic");
	json_w_open(w, '{');
	for (size_t i = 0; i < s->nlines; i++)
		json_w_kv(w, s->lines[i].name, s->lines[i].arithmetic);
	json_w_close(w, '}');
}

static void
put_facts(struct cli *c, struct json_w *w, const struct size *s)
{
	json_w_key(w, "facts");
	json_w_open(w, '[');
	for (size_t i = 0; i < FACTS; i++) {
		const struct size_fact *f = &s->facts[i];

		if (!s->used[i])
			continue;
		json_w_open(w, '{');
		json_w_kv(w, "name", f->name);
		put_number(c, w, "value", f->is_known ? f->value : NAN);
		json_w_kv(w, "unit", f->unit);
		json_w_kv(w, "what", f->what);
		json_w_kv(w, "origin", f->origin);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

static void
print_json(struct cli *c, const struct size *s)
{
	struct buf b;
	struct json_w w;

	buf_init(&b, 1 << 20);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	for (size_t p = 0; p < ARRAY_LEN(parts); p++)
		put_part(c, &w, s, p);
	put_arithmetic(&w, s);
	put_facts(c, &w, s);
	json_w_key(&w, "warnings");
	json_w_open(&w, '[');
	for (size_t i = 0; i < s->nwarnings; i++)
		json_w_str(&w, s->warnings[i]);
	json_w_close(&w, ']');
	json_w_close(&w, '}');
	render_text(c, buf_cstr(&b));
	buf_fini(&b);
}

int
cmd_size(struct cli *c)
{
	struct size_input in = {0};
	struct size *s = arena_alloc(c->arena, sizeof(*s));
	const char *why = "";

	if (!read_input(c, &in))
		return EXIT_USAGE;
	if (!size_reckon(c->arena, size_model, &in, s, &why)) {
		out_error("%s", why);
		return EXIT_USAGE;
	}
	if (c->as_json)
		print_json(c, s);
	else
		print_text(c, s);
	return EXIT_DONE;
}
