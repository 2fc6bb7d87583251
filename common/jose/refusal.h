/*
 * refusal: why a key or a signed message of JOSE is not taken.
 *
 * The fault is what RFC 8555 section 6.7 has a problem type for; the text is
 * for the client: what is wrong and what to change.
 */
#ifndef COMMON_JOSE_REFUSAL_H
#define COMMON_JOSE_REFUSAL_H

enum jose_fault {
	JOSE_MALFORMED, /* not the form that is asked for: malformed */
	JOSE_ALGORITHM, /* badSignatureAlgorithm */
	JOSE_KEY,       /* badPublicKey */
	JOSE_SIGNATURE  /* not made by that key: unauthorized */
};

struct jose_refusal {
	enum jose_fault fault;
	const char *why; /* static, or in the arena of what was read */
	/* JOSE_ALGORITHM: the values of "alg" that are taken, for the member
	 * "algorithms" of the problem; ends with NULL.  Otherwise NULL. */
	const char *const *algorithms;
};

#endif
