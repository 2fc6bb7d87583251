#include "cli/cli.h"
#include "cli/out.h"
#include "cli/render.h"

int
show_list(struct cli *c, const struct answer *a, const char *rows,
    const struct column *cols, size_t n)
{
	const struct cJSON *data;
	int exit_code = client_check_list(c, a, rows, &data);

	if (exit_code == EXIT_DONE)
		render_list(c, a->json, a->text, data, cols, n);
	return exit_code;
}

int
show_rows(struct cli *c, const char *path, const struct column *cols, size_t n)
{
	struct answer a = client_call(c, "GET", path, NULL);

	return show_list(c, &a, NULL, cols, n);
}

void
show_answer(struct cli *c, const struct answer *a, const char *const *members,
    size_t n)
{
	render_object(c, a->json, a->text, members, n);
}

int
show_done(struct cli *c, const struct answer *a, const char *what)
{
	if (!c->as_json)
		out_print("%s\n", what);
	else
		/* done, perhaps without a word */
		render_text(c, a->json ? a->text : "{}");
	return EXIT_DONE;
}
