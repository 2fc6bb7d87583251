/*
 * standalone_main: runs a fuzz harness over kept inputs, without libFuzzer.
 *
 * Arguments are files and directories of files; each input is given to the
 * harness in a block of exactly its size, so that AddressSanitizer sees a
 * read past its end.  Exit 1 when an argument cannot be read or nothing ran.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
run_file(const char *path, size_t size)
{
	uint8_t *data = malloc(size > 0 ? size : 1);
	FILE *f = fopen(path, "rb");
	int bad = 1;

	if (data != NULL && f != NULL && fread(data, 1, size, f) == size) {
		/* named first: a crash then says which input it was */
		(void)printf("%s\n", path);
		(void)fflush(stdout);
		(void)LLVMFuzzerTestOneInput(data, size);
		bad = 0;
	}
	if (f != NULL)
		(void)fclose(f);
	free(data);
	return bad;
}

static int run_path(const char *path, unsigned *count);

static int
run_dir(const char *path, unsigned *count)
{
	struct dirent **names;
	char *inner;
	int bad = 0;
	int n = scandir(path, &names, NULL, alphasort);

	if (n < 0)
		return 1;
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			if (asprintf(&inner, "%s/%s", path, names[i]->d_name) <
			    0)
				abort();
			bad |= run_path(inner, count);
			free(inner);
		}
		free(names[i]);
	}
	free(names);
	return bad;
}

static int
run_path(const char *path, unsigned *count)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		perror(path);
		return 1;
	}
	if (S_ISDIR(st.st_mode))
		return run_dir(path, count);
	(*count)++;
	return run_file(path, (size_t)st.st_size);
}

int
main(int argc, char **argv)
{
	unsigned count = 0;
	int bad = 0;

	for (int i = 1; i < argc; i++)
		bad |= run_path(argv[i], &count);
	(void)printf("%u inputs replayed\n", count);
	return bad != 0 || count == 0 ? 1 : 0;
}
