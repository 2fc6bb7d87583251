/*
 * Programs run without a shell (the tests use one to make programs).
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/loop/spawn.h"
#include "tests/unit/check.h"

static struct loop *loop;
static int calls, last_status;
static rc last_code;
static char last_output[16384];

static void
on_done(void *arg, rc code, int exit_status, const char *output)
{
	int *left = arg;

	calls++;
	last_code = code;
	last_status = exit_status;
	(void)snprintf(last_output, sizeof(last_output), "%s", output);
	if (--*left == 0)
		loop_stop(loop);
}

static void
begin(void)
{
	rc ret = loop_new(&loop);

	CHECK_INT(ret, RC_OK);
	calls = 0;
	last_output[0] = '\0';
}

/* One program, to its end. */
static void
run_args(const char *const *argv, int64_t timeout_ms)
{
	struct spawn *s;
	int left = 1;
	rc ret;

	ret = spawn_start(loop, argv, timeout_ms, on_done, &left, &s);
	CHECK_INT(ret, RC_OK);
	CHECK_INT(calls, 0);
	ret = loop_run(loop);
	CHECK_INT(ret, RC_OK);
	CHECK_INT(calls, 1);
}

static void
run_shell(const char *script, int64_t timeout_ms)
{
	const char *const argv[] = {"sh", "-c", script, NULL};

	run_args(argv, timeout_ms);
}

static void
run_opts(const struct spawn_opts *opts)
{
	struct spawn *s;
	int left = 1;
	rc ret;

	ret = spawn_run(loop, opts, on_done, &left, &s);
	CHECK_INT(ret, RC_OK);
	ret = loop_run(loop);
	CHECK_INT(ret, RC_OK);
	CHECK_INT(last_code, RC_OK);
}

static void
on_wait_over(void *arg)
{
	loop_stop(loop);
}

static void
wait_ms(int64_t ms)
{
	struct timer *t = timer_new(loop, on_wait_over, NULL);
	rc ret;

	timer_arm(t, ms);
	ret = loop_run(loop);
	timer_free(t);
	CHECK_INT(ret, RC_OK);
}

static void
output_and_status_come_back(void)
{
	begin();
	run_shell("echo out; echo err >&2; exit 3", 10000);
	CHECK_INT(last_code, RC_OK);
	CHECK_INT(last_status, 3);
	CHECK_STR(last_output, "out\nerr\n");
	loop_free(loop);
}

static void
arguments_are_not_split_or_expanded(void)
{
	const char *const argv[] = {"printf", "%s|", "a b", "$HOME", ";", NULL};

	begin();
	run_args(argv, 10000);
	CHECK_STR(last_output, "a b|$HOME|;|");
	loop_free(loop);
}

static void
death_by_signal_is_128_and_its_number(void)
{
	begin();
	run_shell("kill -TERM $$", 10000);
	CHECK_INT(last_code, RC_OK);
	CHECK_INT(last_status, 128 + SIGTERM);
	loop_free(loop);
}

static void
what_cannot_start_is_said_at_once(void)
{
	const char *const argv[] = {"/nonexistent/program", NULL};
	const char *const none[] = {NULL};
	struct spawn *s;
	int left = 1;
	rc ret;

	begin();
	ret = spawn_start(loop, argv, 1000, on_done, &left, &s);
	CHECK_INT(ret, RC_IO);
	ret = spawn_start(loop, none, 1000, on_done, &left, &s);
	CHECK_INT(ret, RC_IO);
	wait_ms(20);
	CHECK_INT(calls, 0);
	loop_free(loop);
}

static void
output_is_capped_and_the_rest_does_not_block(void)
{
	begin();
	run_shell("head -c 3000000 /dev/zero | tr '\\0' x; exit 7", 20000);
	CHECK_INT(last_code, RC_OK);
	CHECK_INT(last_status, 7);
	CHECK_INT(strlen(last_output), 8192);
	CHECK_INT(strspn(last_output, "x"), 8192);
	loop_free(loop);
}

static void
zero_bytes_do_not_hide_what_follows(void)
{
	begin();
	run_shell("printf 'a\\000b'", 10000);
	CHECK_STR(last_output, "a?b");
	loop_free(loop);
}

static void
standard_input_is_empty(void)
{
	begin();
	run_shell("cat; echo end", 10000);
	CHECK_INT(last_code, RC_OK);
	CHECK_STR(last_output, "end\n");
	loop_free(loop);
}

static void
our_variables_stay_here_and_others_go_along(void)
{
	begin();
	CHECK(setenv("CERTCTL_CA_ENCRYPTION_KEY", "secret", 1) == 0);
	CHECK(setenv("SPAWN_TEST", "kept", 1) == 0);
	run_shell("echo \"[$SPAWN_TEST]\"; env | grep -c ^CERTCTL_", 10000);
	CHECK_STR(last_output, "[kept]\n0\n");
	CHECK_STR(getenv("CERTCTL_CA_ENCRYPTION_KEY"), "secret");
	unsetenv("CERTCTL_CA_ENCRYPTION_KEY");
	loop_free(loop);
}

static void
no_descriptor_of_ours_goes_along(void)
{
	int fd;

	begin();
	fd = dup(1); /* without close-on-exec */
	CHECK(fd >= 3);
	/* ls itself has 3 open, on the directory. */
	run_shell("exec ls /proc/self/fd", 10000);
	close(fd);
	CHECK_STR(last_output, "0\n1\n2\n3\n");
	loop_free(loop);
}

static void
sigpipe_has_its_usual_effect_there(void)
{
	begin();
	run_shell("kill -PIPE $$; echo ignored", 10000);
	CHECK_INT(last_status, 128 + SIGPIPE);
	CHECK_STR(last_output, "");
	loop_free(loop);
}

/* Or soon is; perhaps as a zombie that its new parent has not reaped. */
static bool
is_gone(long pid, int tries)
{
	char path[64], state = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	for (int i = 0; i < tries; i++) {
		f = fopen(path, "r");
		if (!f)
			return true;
		if (fscanf(f, "%*d %*s %c", &state) != 1)
			state = 'X';
		fclose(f);
		if (state == 'Z' || state == 'X')
			return true;
		wait_ms(20);
	}
	return false;
}

/* What the program said is the number of the one it started. */
static long
grandchild(void)
{
	long pid = strtol(last_output, NULL, 10);

	CHECK(pid > 1);
	return pid;
}

static void
deadline_kills_the_whole_group(void)
{
	begin();
	run_shell("sleep 300 & echo $!; wait", 300);
	CHECK_INT(last_code, RC_TIMEOUT);
	CHECK_INT(last_status, 128 + SIGKILL);
	CHECK(is_gone(grandchild(), 500));
	loop_free(loop);
	/* The answer came before it was reaped; a loop that lives on does. */
	while (waitpid(-1, NULL, 0) > 0)
		continue;
}

static void
what_is_left_in_the_background_ends_with_its_program(void)
{
	begin();
	/* It keeps the pipe open, and would go on writing there. */
	run_shell("sh -c 'trap \"\" HUP TERM; sleep 300; echo more' & "
		  "echo $!; exit 4",
	    20000);
	CHECK_INT(last_code, RC_OK);
	CHECK_INT(last_status, 4);
	CHECK(is_gone(grandchild(), 500));
	loop_free(loop);
}

static void
what_may_stay_holds_no_answer_back(void)
{
	const char *const argv[] = {"sh", "-c", "sleep 300 & echo $!", NULL};
	struct spawn_opts opts = {
	    .argv = argv,
	    .timeout_ms = 20000,
	    .may_leave_some = true,
	};

	begin();
	run_opts(&opts);
	CHECK_INT(last_status, 0);
	CHECK(!is_gone(grandchild(), 1));
	CHECK(kill((pid_t)grandchild(), SIGKILL) == 0);
	loop_free(loop);
}

static void
cancel_kills_and_forgets(void)
{
	const char *const argv[] = {"sleep", "300", NULL};
	struct spawn *s;
	int left = 1;
	rc ret;

	begin();
	ret = spawn_start(loop, argv, 60000, on_done, &left, &s);
	CHECK_INT(ret, RC_OK);
	spawn_cancel(s);
	/* Until it is reaped, and no child is left at all. */
	for (int i = 0; i < 500; i++) {
		siginfo_t si;

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0)
			break;
		wait_ms(20);
	}
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	CHECK_INT(calls, 0);
	spawn_cancel(NULL);
	loop_free(loop);
}

static void
loop_may_end_while_a_program_runs(void)
{
	const char *const argv[] = {"sleep", "0.2", NULL};
	struct spawn *s;
	int left = 1;
	rc ret;

	begin();
	ret = spawn_start(loop, argv, 60000, on_done, &left, &s);
	CHECK_INT(ret, RC_OK);
	loop_free(loop); /* the sanitizer sees what this leaks */
	CHECK_INT(calls, 0);
	CHECK(waitpid(-1, NULL, 0) > 0);
}

static void
many_at_once_each_get_their_own_end(void)
{
	const char *const argv[] = {"sh", "-c", "exit 5", NULL};
	struct spawn *s;
	int left = 20;
	rc ret;

	begin();
	for (int i = 0; i < 20; i++) {
		ret = spawn_start(loop, argv, 60000, on_done, &left, &s);
		CHECK_INT(ret, RC_OK);
	}
	ret = loop_run(loop);
	CHECK_INT(ret, RC_OK);
	CHECK_INT(calls, 20);
	CHECK_INT(last_status, 5);
	loop_free(loop);
}

static void
children_of_others_are_not_reaped(void)
{
	char *const argv[] = {"true", NULL};
	pid_t other;

	begin();
	CHECK(posix_spawnp(&other, "true", NULL, NULL, argv, environ) == 0);
	run_shell("sleep 0.1", 10000);
	CHECK(waitpid(other, NULL, 0) == other);
	loop_free(loop);
}

static void
more_variables_go_along(void)
{
	const char *const argv[] = {"sh", "-c",
	    "echo $CERTCTL_A-$B-$CERTCTL_SECRET", NULL};
	const char *const env[] = {"CERTCTL_A=a b", "B=;", NULL};
	struct spawn_opts opts = {
	    .argv = argv,
	    .env = env,
	    .timeout_ms = 10000,
	};

	begin();
	CHECK(setenv("CERTCTL_SECRET", "secret", 1) == 0);
	run_opts(&opts);
	CHECK(unsetenv("CERTCTL_SECRET") == 0);
	CHECK_STR(last_output, "a b-;-\n");
	loop_free(loop);
}

static void
nothing_may_be_inherited(void)
{
	const char *const argv[] = {"/usr/bin/env", NULL};
	const char *const env[] = {"A=b", NULL};
	struct spawn_opts opts = {
	    .argv = argv,
	    .env = env,
	    .env_only = true,
	    .timeout_ms = 10000,
	};

	begin();
	run_opts(&opts);
	CHECK_STR(last_output, "A=b\n");
	opts.env = NULL;
	run_opts(&opts);
	CHECK_STR(last_output, "");
	loop_free(loop);
}

static void
standard_output_may_be_left_out(void)
{
	const char *const argv[] = {"sh", "-c", "echo out; echo err >&2", NULL};
	struct spawn_opts opts = {
	    .argv = argv,
	    .timeout_ms = 10000,
	    .stderr_only = true,
	};

	begin();
	run_opts(&opts);
	CHECK_STR(last_output, "err\n");
	loop_free(loop);
}

static void
the_end_of_the_output_may_be_what_counts(void)
{
	const char *const argv[] = {"sh", "-c",
	    "head -c 100000 /dev/zero | tr '\\0' x; echo the end", NULL};
	struct spawn_opts opts = {
	    .argv = argv,
	    .timeout_ms = 10000,
	    .keep_end = true,
	};
	size_t len;

	begin();
	run_opts(&opts);
	len = strlen(last_output);
	CHECK(len > 4000 && len <= 8192);
	CHECK_STR(last_output + len - 9, "xthe end\n");
	loop_free(loop);
}

CHECK_MAIN(CHECK_ROW(output_and_status_come_back),
    CHECK_ROW(more_variables_go_along), CHECK_ROW(nothing_may_be_inherited),
    CHECK_ROW(standard_output_may_be_left_out),
    CHECK_ROW(the_end_of_the_output_may_be_what_counts),
    CHECK_ROW(arguments_are_not_split_or_expanded),
    CHECK_ROW(death_by_signal_is_128_and_its_number),
    CHECK_ROW(what_cannot_start_is_said_at_once),
    CHECK_ROW(output_is_capped_and_the_rest_does_not_block),
    CHECK_ROW(zero_bytes_do_not_hide_what_follows),
    CHECK_ROW(standard_input_is_empty),
    CHECK_ROW(our_variables_stay_here_and_others_go_along),
    CHECK_ROW(no_descriptor_of_ours_goes_along),
    CHECK_ROW(sigpipe_has_its_usual_effect_there),
    CHECK_ROW(deadline_kills_the_whole_group),
    CHECK_ROW(what_is_left_in_the_background_ends_with_its_program),
    CHECK_ROW(what_may_stay_holds_no_answer_back),
    CHECK_ROW(cancel_kills_and_forgets),
    CHECK_ROW(loop_may_end_while_a_program_runs),
    CHECK_ROW(many_at_once_each_get_their_own_end),
    CHECK_ROW(children_of_others_are_not_reaped))
