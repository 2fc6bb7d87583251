#include "common/base/weak.h"

enum {
	LENGTH_MIN = 12,
	DIFFERENT_MIN = 6,
};

bool
weak_is_refused(const char *key, size_t len)
{
	bool seen[256] = {false};
	size_t different = 0;

	for (size_t i = 0; i < len; i++) {
		if (!seen[(unsigned char)key[i]])
			different++;
		seen[(unsigned char)key[i]] = true;
	}
	return len < LENGTH_MIN || different < DIFFERENT_MIN;
}

bool
weak_is_short(size_t len)
{
	return len < WEAK_LENGTH_GOOD;
}
