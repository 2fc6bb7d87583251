/*
 * Of a Secret its certificate is taken, and its key is left alone: it is not
 * decoded, and the text of the export is wiped.
 */
#include "cli/import/cert_manager.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <openssl/crypto.h>

#include "cli/import/files.h"
#include "cli/import/words.h"
#include "cli/yaml_read.h"
#include "common/base/enc.h"
#include "common/base/text.h"
#include "common/json/json.h"

enum { OBJECTS_MAX = 20000, TEXT_MAX = 2048 };

struct export
{
	struct import *im;
	const char *path;
	const struct cJSON **objects; /* in the arena */
	size_t n;
};

static const char *
text_of(const struct cJSON *object, const char *name)
{
	const char *text = "";

	IGNORE_RESULT(json_str_exact(object, name, TEXT_MAX, &text));
	return text;
}

static const struct cJSON *
member(const struct cJSON *object, const char *name)
{
	const struct cJSON *m = json_get_exact(object, name);

	return cJSON_IsObject(m) ? m : NULL;
}

static bool
is_kind(const struct cJSON *o, const char *kind)
{
	const char *version = text_of(o, "apiVersion");

	if (strcmp(text_of(o, "kind"), kind) != 0)
		return false;
	return strcmp(kind, "Secret") == 0
		   ? strcmp(version, "v1") == 0
		   : strncmp(version, "cert-manager.io/", 16) == 0;
}

static void
add_object(struct export *x, const struct cJSON *o)
{
	if (!cJSON_IsObject(o))
		return;
	if (x->n < OBJECTS_MAX)
		x->objects[x->n++] = o;
	else
		import_note(x->im, x->path, "not read to its end");
}

/* Documents, and the items of lists. */
static void
collect(struct export *x, const struct cJSON *documents)
{
	const struct cJSON *document, *items, *item;

	cJSON_ArrayForEach(document, documents)
	{
		items = cJSON_IsObject(document)
			    ? json_get_exact(document, "items")
			    : NULL;
		if (!cJSON_IsArray(items)) {
			add_object(x, document);
			continue;
		}
		cJSON_ArrayForEach(item, items) add_object(x, item);
	}
}

/* The object of that kind, name and namespace ("" for any), or NULL. */
static const struct cJSON *
find(const struct export *x, const char *kind, const char *name,
    const char *namespace)
{
	for (size_t i = 0; i < x->n; i++) {
		const struct cJSON *meta = member(x->objects[i], "metadata");

		if (is_kind(x->objects[i], kind) && meta &&
		    strcmp(text_of(meta, "name"), name) == 0 &&
		    (!namespace[0] ||
			strcmp(text_of(meta, "namespace"), namespace) == 0))
			return x->objects[i];
	}
	return NULL;
}

/* Where its issuer orders: the server of ACME, else the kind of it. */
static const char *
describe_issuer(struct export *x, const struct cJSON *spec,
    const char *namespace)
{
	static const char *const kinds[] = {"ca", "vault", "selfSigned",
	    "venafi"};
	const struct cJSON *ref = member(spec, "issuerRef"), *issuer, *of;
	const char *kind, *name;

	if (!ref)
		return NULL;
	name = text_of(ref, "name");
	kind = text_of(ref, "kind")[0] ? text_of(ref, "kind") : "Issuer";
	issuer = find(x, kind, name,
	    strcmp(kind, "ClusterIssuer") == 0 ? "" : namespace);
	of = issuer ? member(issuer, "spec") : NULL;
	if (of && member(of, "acme"))
		return arena_printf(x->im->arena, "%s %s: %s", kind, name,
		    text_of(member(of, "acme"), "server"));
	for (size_t i = 0; of && i < ARRAY_LEN(kinds); i++) {
		if (member(of, kinds[i]))
			return arena_printf(x->im->arena, "%s %s: %s", kind,
			    name, kinds[i]);
	}
	return arena_printf(x->im->arena, "%s %s, which is not in the export",
	    kind, name);
}

/* "720h0m0s" as days. */
static int64_t
read_days(const char *text)
{
	char *end = NULL;
	long hours = strtol(text, &end, 10);

	return end && *end == 'h' && hours >= 24 && hours <= 365 * 24
		   ? hours / 24
		   : 0;
}

/* The texts of a list go behind the n that are there; how many there are then.
 */
static size_t
add_names(struct export *x, const struct import_found *f, const char *list,
    const struct cJSON *items, const char **names, size_t n)
{
	const struct cJSON *one;

	if (items && !cJSON_IsArray(items))
		import_note(x->im, x->path,
		    arena_printf(x->im->arena, "%s of %s is no list", list,
			f->name));
	if (!cJSON_IsArray(items))
		return n;
	cJSON_ArrayForEach(one, items)
	{
		if (cJSON_IsString(one) && one->valuestring[0] &&
		    strlen(one->valuestring) <= TEXT_MAX)
			names[n++] = one->valuestring;
	}
	return n;
}

static void
read_names(struct export *x, const struct cJSON *spec, struct import_found *f)
{
	static const char *const lists[] = {"dnsNames", "ipAddresses",
	    "emailAddresses", "uris"};
	const struct cJSON *items[ARRAY_LEN(lists)];
	const char *cn = text_of(spec, "commonName");
	size_t room = 1;
	const char **names;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		items[i] = json_get_exact(spec, lists[i]);
		room += (size_t)cJSON_GetArraySize(items[i]);
	}
	names = arena_alloc(x->im->arena, room * sizeof(*names));
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		f->nnames =
		    add_names(x, f, lists[i], items[i], names, f->nnames);
	if (f->nnames == 0 && cn[0])
		names[f->nnames++] = cn;
	f->names = names;
}

/* "ECDSA 256", by cert-manager's defaults where it is not told. */
static const char *
read_key(struct export *x, const struct cJSON *spec)
{
	const struct cJSON *key = member(spec, "privateKey");
	const char *algorithm = key ? text_of(key, "algorithm") : "";
	const char *size = key ? text_of(key, "size") : "";

	if (strcmp(algorithm, "Ed25519") == 0)
		return algorithm;
	if (!algorithm[0])
		algorithm = "RSA";
	if (!size[0])
		size = strcmp(algorithm, "ECDSA") == 0 ? "256" : "2048";
	return arena_printf(x->im->arena, "%s %s", algorithm, size);
}

/* The certificate of its Secret, where the export has that. */
static void
read_secret(struct export *x, const char *secret, const char *namespace,
    struct import_found *f)
{
	const struct cJSON *o = find(x, "Secret", secret, namespace);
	const char *told = NULL;
	uint8_t *pem;
	size_t len;
	rc ret;

	ret = o && member(o, "data") ? json_str_exact(member(o, "data"),
					   "tls.crt", IMPORT_FILE_MAX, &told)
				     : RC_NOT_FOUND;
	if (ret != RC_OK)
		return;
	ret = enc_unbase64(x->im->arena, told, strlen(told), &pem, &len);
	if (ret == RC_OK)
		IGNORE_RESULT(files_certificate_text(x->im, x->path,
		    arena_strndup(x->im->arena, (const char *)pem, len),
		    strnlen((const char *)pem, len), false, f));
	else
		import_note(x->im, x->path,
		    arena_printf(x->im->arena,
			"tls.crt of the Secret %s is no base64", secret));
}

static void
read_certificate(struct export *x, const struct cJSON *o)
{
	const struct cJSON *meta = member(o, "metadata");
	const struct cJSON *spec = member(o, "spec");
	struct arena *a = x->im->arena;
	const char *name, *namespace;
	struct import_found *f;

	if (!meta || !spec || !text_of(meta, "name")[0]) {
		import_note(x->im, x->path,
		    "a Certificate without a name or a spec");
		return;
	}
	name = text_of(meta, "name");
	namespace = text_of(meta, "namespace");
	f = import_add(x->im, "cert-manager",
	    namespace[0] ? arena_printf(a, "%s.%s", name, namespace) : name,
	    x->path);
	if (!f)
		return;
	read_names(x, spec, f);
	f->key = read_key(x, spec);
	f->ca = describe_issuer(x, spec, namespace);
	f->window_days = read_days(text_of(spec, "renewBefore"));
	f->renewal = "cert-manager in the cluster";
	f->stop = arena_printf(a, "kubectl%s%s delete certificate %s",
	    namespace[0] ? " -n " : "",
	    namespace[0] ? words_shell(a, namespace) : "",
	    words_shell(a, name));
	f->note = arena_printf(a,
	    "no target is made: nothing here writes the Secret %s",
	    text_of(spec, "secretName"));
	read_secret(x, text_of(spec, "secretName"), namespace, f);
}

void
cert_manager_read(struct import *im, const char *path, const char *text,
    size_t len)
{
	struct export x = {.im = im, .path = path};
	const struct cJSON *documents;
	size_t before = im->nfound;
	const char *why;
	rc ret;

	ret = yaml_read_texts(im->arena, text, len, &documents, &why);
	if (ret != RC_OK) {
		import_note(im, path, why);
		return;
	}
	x.objects = arena_alloc(im->arena, OBJECTS_MAX * sizeof(*x.objects));
	collect(&x, documents);
	for (size_t i = 0; i < x.n; i++) {
		if (is_kind(x.objects[i], "Certificate"))
			read_certificate(&x, x.objects[i]);
	}
	if (im->nfound == before)
		import_note(im, path,
		    "holds no Certificate of cert-manager.io");
}

static bool
knows(struct import *im, const char *path)
{
	return (text_ends_with(path, ".yaml") ||
		   text_ends_with(path, ".yml")) &&
	       files_is_file(path);
}

static void
read_all(struct import *im, const char *path)
{
	size_t len;
	char *text = files_read(im, path, IMPORT_EXPORT_MAX, &len);

	if (!text)
		return;
	cert_manager_read(im, path, text, len);
	OPENSSL_cleanse(text, len);
}

const struct import_reader import_cert_manager = {"cert-manager", knows,
    read_all};
