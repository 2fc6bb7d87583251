#include "common/cfg/cfg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/plain.h"
#include "common/base/secret.h"
#include "common/cfg/cfg_value.h"

/* Shown of a wrong value; the rest of a long one helps nobody. */
#define SHOWN_MAX 120

struct cfg {
	const struct cfg_key *keys;
	size_t n;
	struct cfg_value values[]; /* as keys */
};

static bool
is_secret(const struct cfg_key *key)
{
	return (key->flags & CFG_SECRET) != 0;
}

/* The value as an error message may show it: quoted, and what can't be seen
 * masked. */
static void
put_shown(struct buf *b, const struct cfg_key *key, const char *text)
{
	size_t len = strlen(text);
	char shown[SHOWN_MAX + 1];

	if (is_secret(key)) {
		buf_printf(b, " (a secret of %zu bytes)", len);
		return;
	}
	(void)snprintf(shown, sizeof(shown), "%s", text);
	plain_clean(shown);
	for (char *p = shown; *p != '\0'; p++) {
		if (*p < ' ' && *p >= 0)
			*p = '?'; /* the message is one line */
	}
	buf_printf(b, "=\"%s%s\"", shown, len > SHOWN_MAX ? "..." : "");
}

static rc
complain(const struct cfg_key *key, const char *text)
{
	struct buf b;

	buf_init(&b, 0);
	buf_printf(&b, "configuration: %s", key->env);
	put_shown(&b, key, text);
	buf_puts(&b, " is refused: it must be ");
	cfg_value_rule(key, &b);
	(void)fprintf(stderr, "%s\n", buf_cstr(&b));
	buf_fini(&b);
	return RC_INVALID;
}

static rc
complain_file(const struct cfg_key *key, const char *path, rc code)
{
	const char *why = "cannot be read";

	if (code == RC_INVALID)
		why = "must be a plain file that only its owner can write and "
		      "others cannot read (chmod 600)";
	else if (code == RC_TOO_LARGE)
		why = "is larger than 64 KiB";
	(void)fprintf(stderr, "configuration: %s_FILE=\"%.*s\" %s\n", key->env,
	    SHOWN_MAX, path, why);
	return RC_INVALID;
}

/* Takes a secret's value from the file NAME_FILE names. */
static rc
load_file(const struct cfg_key *key, const char *path, struct cfg_value *v)
{
	struct secret *secret;
	char *text;
	rc ret;

	ret = secret_new_from_file(path, &secret);
	if (ret != RC_OK)
		return complain_file(key, path, ret);
	text =
	    mem_strndup((const char *)secret_bytes(secret), secret_len(secret));
	ret = strlen(text) == secret_len(secret) ? RC_OK : RC_INVALID;
	if (ret == RC_OK && *text == '\0')
		ret = RC_INVALID; /* an empty file is never meant */
	if (ret == RC_OK)
		ret = cfg_value_parse(key, text, v);
	if (ret != RC_OK)
		ret = complain(key, text);
	v->is_set = true;
	mem_wipe(text, strlen(text));
	free(text);
	secret_free(secret);
	return ret;
}

/* Empty is the same as absent, as the contract has it. */
static const char *
env_get(const char *name)
{
	const char *text = getenv(name);

	return text != NULL && *text != '\0' ? text : NULL;
}

static rc
load_default(const struct cfg_key *key, struct cfg_value *v)
{
	struct buf scratch;
	const char *text;
	rc ret = RC_OK;

	if ((key->flags & CFG_REQUIRED) != 0) {
		(void)fprintf(stderr, "configuration: %s is not set: %s\n",
		    key->env, key->help);
		return RC_INVALID;
	}
	buf_init(&scratch, 0);
	text = cfg_value_default(key, &scratch);
	/* "" stands for nothing: "", 0, false, no items */
	if (*text != '\0') {
		ret = cfg_value_parse(key, text, v);
	} else {
		v->text = mem_strdup("");
		v->list = mem_zalloc(sizeof(v->list[0]));
	}
	buf_fini(&scratch);
	if (ret != RC_OK) {
		(void)fprintf(stderr, "configuration: %s has a wrong default\n",
		    key->env);
		abort(); /* the table is ours */
	}
	return RC_OK;
}

static rc
load_key(const struct cfg_key *key, struct cfg_value *v)
{
	const char *text = env_get(key->env);
	const char *path = NULL;
	char name[160];
	rc ret;

	if (text != NULL && (key->flags & CFG_REFUSED) != 0) {
		(void)fprintf(stderr, "configuration: %s is refused: %s\n",
		    key->env, key->help);
		return RC_INVALID;
	}
	if (is_secret(key)) {
		(void)snprintf(name, sizeof(name), "%s_FILE", key->env);
		path = env_get(name);
	}
	if (text != NULL && path != NULL) {
		(void)fprintf(stderr,
		    "configuration: %s and %s are both set: keep one\n",
		    key->env, name);
		return RC_INVALID;
	}
	if (path != NULL)
		return load_file(key, path, v);
	if (text == NULL)
		return load_default(key, v);
	v->is_set = true;
	ret = cfg_value_parse(key, text, v);
	return ret == RC_OK ? RC_OK : complain(key, text);
}

rc
cfg_load(const struct cfg_key *keys, size_t n, struct cfg **out)
{
	struct cfg *c;
	rc worst = RC_OK;
	rc ret;

	c = mem_zalloc(sizeof(*c) + n * sizeof(c->values[0]));
	c->keys = keys;
	c->n = n;
	/* Goes on after a mistake: one start names them all. */
	for (size_t i = 0; i < n; i++) {
		ret = load_key(&keys[i], &c->values[i]);
		if (ret != RC_OK)
			worst = ret;
	}
	if (worst != RC_OK) {
		cfg_free(c);
		return worst;
	}
	*out = c;
	return RC_OK;
}

void
cfg_free(struct cfg *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n; i++)
		cfg_value_fini(&c->values[i]);
	free(c);
}

/* The key's place; c->n: there is none.  A name is nearly always the very text
 * that the key has, as the linker keeps one of equal ones. */
static size_t
place_of(const struct cfg *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n && c->keys[i].name != name; i++)
		;
	if (i < c->n)
		return i;
	for (i = 0; i < c->n && strcmp(c->keys[i].name, name) != 0; i++)
		;
	return i;
}

/* The value of a name whose type is one of types (a bit each). */
static const struct cfg_value *
find(const struct cfg *c, const char *name, unsigned types)
{
	size_t i = place_of(c, name);

	if (i < c->n && (types & 1U << c->keys[i].type) != 0)
		return &c->values[i];
	(void)fprintf(stderr, "configuration: no key \"%s\" of that type\n",
	    name);
	abort();
}

const char *
cfg_str(const struct cfg *c, const char *name)
{
	return find(c, name,
	    1U << CFG_STRING | 1U << CFG_NAME | 1U << CFG_ID | 1U << CFG_ENUM |
		1U << CFG_PATH)
	    ->text;
}

int64_t
cfg_int(const struct cfg *c, const char *name)
{
	return find(c, name,
	    1U << CFG_INT | 1U << CFG_DECIMAL | 1U << CFG_SIZE |
		1U << CFG_DURATION)
	    ->number;
}

bool
cfg_bool(const struct cfg *c, const char *name)
{
	return find(c, name, 1U << CFG_BOOL)->truth;
}

const char *const *
cfg_list(const struct cfg *c, const char *name)
{
	return (const char *const *)find(c, name, 1U << CFG_LIST)->list;
}

bool
cfg_is_set(const struct cfg *c, const char *name)
{
	return find(c, name, ~0U)->is_set;
}

void
cfg_print(const struct cfg *c)
{
	const char *text;

	for (size_t i = 0; i < c->n; i++) {
		if ((c->keys[i].flags & CFG_REFUSED) != 0)
			continue;
		text = c->values[i].text;
		if (is_secret(&c->keys[i]) && *text != '\0')
			text = "********";
		(void)printf("%s=%s%s\n", c->keys[i].env, text,
		    c->values[i].is_set ? "" : "  # default");
	}
}
