#include "apiserver/policy/auth.h"

#include "apiserver/policy/authz.h"
#include "common/base/enc.h"
#include "tests/unit/check.h"

/* Long enough, each ends in its number. */
#define K1 "abcdefghijklmnopqrstuvwx-1"
#define K2 "abcdefghijklmnopqrstuvwx-2"
#define K3 "abcdefghijklmnopqrstuvwx-3"
#define K4 "abcdefghijklmnopqrstuvwx-4"
#define S0 "abcdefghijklmnopqrstuvwx-s0"
#define S1 "abcdefghijklmnopqrstuvwx-s1"
#define TOKEN "abcdefghijklmnopqrstuvwx-token"

static const char *const none[] = {NULL};

static rc
keys_of(const char *entry, struct keyring **out)
{
	const char *const named[] = {entry, NULL};

	return keyring_new(named, none, "", "", out);
}

static void
test_keyring_refuses(void)
{
	const char *const twice[] = {"a:" K1, "b:" K1, NULL};
	const char *const mixed[] = {"a:" K1 ":admin", "a:" K2, NULL};
	struct keyring *k = NULL;

	CHECK_INT(keys_of("", &k), RC_INVALID);
	CHECK_INT(keys_of("a", &k), RC_INVALID);
	CHECK_INT(keys_of("a:", &k), RC_INVALID);
	CHECK_INT(keys_of(":" K1, &k), RC_INVALID);
	CHECK_INT(keys_of("a b:" K1, &k), RC_INVALID);
	CHECK_INT(keys_of("a:" K1 ":", &k), RC_INVALID);
	CHECK_INT(keys_of("a:" K1 ":root", &k), RC_INVALID);
	CHECK_INT(keys_of("a::admin", &k), RC_INVALID);
	CHECK_INT(keyring_new(twice, none, "", "", &k), RC_INVALID);
	CHECK_INT(keyring_new(mixed, none, "", "", &k), RC_INVALID);
	CHECK(k == NULL);
}

static void
test_weak_keys(void)
{
	const char *const secrets[] = {"short-one", NULL};
	const char *const named[] = {"a:" K1, NULL};
	struct keyring *k = NULL;

	CHECK_INT(keys_of("a:abcdefghijk", &k), RC_INVALID);
	CHECK_INT(keys_of("a:kkkkkkkkkkkkkkkkkkkkkkkkkkkk", &k), RC_INVALID);
	CHECK_INT(keys_of("a:123123123123123123123123", &k), RC_INVALID);
	CHECK_INT(keyring_new(NULL, secrets, "", "", &k), RC_INVALID);
	CHECK_INT(keyring_new(named, none, "abcdefghijk", "", &k), RC_INVALID);
	CHECK_INT(keyring_new(named, none, "aaaaaaaaaaaaaaaaa", "", &k),
	    RC_INVALID);
	CHECK(k == NULL);
	/* Short, which is said, and good enough. */
	CHECK_INT(keys_of("a:abcdefghijkl", &k), RC_OK);
	keyring_free(k);
}

static void
test_exchanged_keys(void)
{
	const char *const before[] = {"ops:" K1 ":admin", NULL};
	const char *const after[] = {"ops:" K2 ":admin", NULL};
	struct loop *l = loop_new_sim(1000);
	struct keyring *k = NULL, *other = NULL;
	struct auth_found f;
	struct credential c;
	struct auth *a;

	CHECK_INT(keyring_new(before, none, "", "", &k), RC_OK);
	CHECK_INT(keyring_new(after, none, "", "", &other), RC_OK);
	a = auth_new(l, k);
	auth_read("Bearer " K1, &c);
	CHECK_INT(auth_find(a, &c, &f), RC_OK);
	auth_set_keys(a, other);
	keyring_free(k);
	CHECK_INT(auth_find(a, &c, &f), RC_BUSY);
	auth_read("Bearer " K2, &c);
	CHECK_INT(auth_find(a, &c, &f), RC_OK);
	auth_free(a);
	keyring_free(other);
	loop_free(l);
}

static bool
has(const struct keyring *k, const char *key, const char **name, bool *admin)
{
	char hash[65];

	enc_sha256_hex(key, strlen(key), hash);
	return keyring_find(k, hash, name, admin);
}

static void
test_keyring(void)
{
	const char *const named[] = {"ops:" K1 ":admin", "ops:" K2 ":admin",
	    "view-1:" K3, NULL};
	const char *const secrets[] = {S0, S1, NULL};
	const char *name = NULL;
	struct keyring *k = NULL;
	bool admin = false;
	char hash[65];

	CHECK_INT(keyring_new(named, secrets, TOKEN, "", &k), RC_OK);
	CHECK_INT(keyring_size(k), 5);
	CHECK(has(k, K2, &name, &admin) && admin);
	CHECK_STR(name, "ops");
	CHECK(has(k, K3, &name, &admin) && !admin);
	CHECK_STR(name, "view-1");
	CHECK(has(k, S1, &name, &admin) && admin);
	CHECK_STR(name, "legacy-key-1");
	CHECK(!has(k, K4, &name, &admin));
	CHECK(!has(k, K1 ":admin", &name, &admin));
	enc_sha256_hex(TOKEN, strlen(TOKEN), hash);
	CHECK(keyring_is_token(k, hash));
	CHECK(!has(k, TOKEN, &name, &admin));
	keyring_free(k);
	/* No token: nothing is one, not even the empty text. */
	CHECK_INT(keyring_new(named, none, "", "", &k), RC_OK);
	enc_sha256_hex("", 0, hash);
	CHECK(!keyring_is_token(k, hash));
	CHECK(!keyring_has_bootstrap(k) && !keyring_is_bootstrap(k, hash));
	keyring_free(k);
	keyring_free(NULL);
}

/* Each token is good for its own; no key needs to be there. */
static void
test_bootstrap_token(void)
{
	struct keyring *k = NULL;
	char agents[65], first[65];

	CHECK_INT(keyring_new(NULL, NULL, TOKEN, "aaaaaaaaaaaaa", &k),
	    RC_INVALID);
	CHECK_INT(keyring_new(NULL, NULL, TOKEN, TOKEN, &k), RC_INVALID);
	CHECK(k == NULL);
	CHECK_INT(keyring_new(NULL, NULL, TOKEN, K1, &k), RC_OK);
	enc_sha256_hex(TOKEN, strlen(TOKEN), agents);
	enc_sha256_hex(K1, strlen(K1), first);
	CHECK(keyring_has_bootstrap(k));
	CHECK(keyring_is_bootstrap(k, first) && !keyring_is_token(k, first));
	CHECK(keyring_is_token(k, agents) && !keyring_is_bootstrap(k, agents));
	CHECK_INT(keyring_size(k), 0);
	keyring_free(k);
}

static enum auth_form
form_of(const char *header)
{
	struct credential c;

	auth_read(header, &c);
	return c.form;
}

static void
test_header(void)
{
	struct credential c;
	char want[65], big[5000];

	CHECK_INT(form_of(NULL), AUTH_NONE);
	CHECK_INT(form_of(""), AUTH_MALFORMED);
	CHECK_INT(form_of("Basic eDp5"), AUTH_MALFORMED);
	CHECK_INT(form_of("bearer k"), AUTH_MALFORMED);
	CHECK_INT(form_of("Bearer"), AUTH_MALFORMED);
	CHECK_INT(form_of("Bearer "), AUTH_MALFORMED);
	CHECK_INT(form_of("Bearer  k"), AUTH_MALFORMED);
	CHECK_INT(form_of("Bearer k k"), AUTH_MALFORMED);
	memset(big, 'k', sizeof(big));
	memcpy(big, "Bearer ", 7);
	big[sizeof(big) - 1] = '\0';
	CHECK_INT(form_of(big), AUTH_MALFORMED);
	auth_read("Bearer " K1, &c);
	CHECK_INT(c.form, AUTH_KEY);
	enc_sha256_hex(K1, strlen(K1), want);
	CHECK_STR(c.hash, want);
}

static rc
find(struct auth *a, const char *header, struct auth_found *out)
{
	struct credential c;

	auth_read(header, &c);
	return auth_find(a, &c, out);
}

static void
test_find(void)
{
	const char *const named[] = {"ops:" K1 ":admin", "view:" K2, NULL};
	struct loop *l = loop_new_sim(1000);
	struct keyring *k = NULL;
	struct auth_found f;
	struct auth *a;

	CHECK_INT(keyring_new(named, none, TOKEN, "", &k), RC_OK);
	a = auth_new(l, k);
	CHECK_INT(find(a, NULL, &f), RC_UNAUTHENTICATED);
	CHECK_INT(find(a, "Bearer " K1, &f), RC_OK);
	CHECK_INT(f.principal.kind, PRINCIPAL_API_KEY);
	CHECK(f.principal.is_admin);
	CHECK_STR(f.principal.id, "ops");
	CHECK_INT(find(a, "Bearer " K2, &f), RC_OK);
	CHECK(!f.principal.is_admin);
	CHECK_INT(find(a, "Bearer " TOKEN, &f), RC_OK);
	CHECK_INT(f.principal.kind, PRINCIPAL_BOOTSTRAP);
	CHECK(!f.principal.is_admin);
	/* Only the database can tell. */
	CHECK_INT(find(a, "Bearer other", &f), RC_BUSY);
	auth_free(a);
	keyring_free(k);
	loop_free(l);
}

static void
test_actors(void)
{
	const struct principal key = {PRINCIPAL_API_KEY, "view", false, true};
	const struct principal stored = {PRINCIPAL_API_KEY, "view", false,
	    false};
	const struct principal agent = {PRINCIPAL_AGENT, "ag-1", false};
	struct authz_actor actor;

	authz_actor(&key, &actor);
	CHECK_STR(actor.id, "view");
	CHECK_STR(actor.type, "APIKey");
	CHECK_STR(actor.fallback_role, "r-viewer");
	authz_actor(&stored, &actor);
	CHECK(actor.fallback_role == NULL);
	authz_actor(&agent, &actor);
	CHECK_STR(actor.type, "Agent");
	CHECK_STR(actor.fallback_role, "r-agent");
}

static void
test_permissions(void)
{
	const struct principal admin = {PRINCIPAL_API_KEY, "ops", true};
	const struct principal key = {PRINCIPAL_API_KEY, "view", false};
	const struct principal token = {PRINCIPAL_BOOTSTRAP, "tok", true};
	const struct principal nobody = {PRINCIPAL_NONE, "", true};
	struct loop *l = loop_new_sim(1000);
	struct authz *z = authz_new(l);

	CHECK_INT(authz_check(z, &admin, "cert.read", NULL, NULL), RC_OK);
	CHECK_INT(authz_check(z, &key, "cert.read", NULL, NULL), RC_BUSY);
	CHECK_INT(authz_check(z, &token, "cert.read", NULL, NULL),
	    RC_FORBIDDEN);
	CHECK_INT(authz_check(z, &nobody, "cert.read", NULL, NULL),
	    RC_FORBIDDEN);
	authz_free(z);
	loop_free(l);
}

CHECK_MAIN(CHECK_ROW(test_keyring_refuses), CHECK_ROW(test_weak_keys),
    CHECK_ROW(test_exchanged_keys), CHECK_ROW(test_keyring),
    CHECK_ROW(test_bootstrap_token), CHECK_ROW(test_header),
    CHECK_ROW(test_find), CHECK_ROW(test_actors), CHECK_ROW(test_permissions))
