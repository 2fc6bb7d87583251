#include "cli/cli.h"

const struct command commands[] = {
    {"agents", "list", "[--retired]", "the fleet's agents", cmd_agents_list},
    {"approvals", "approve", "ID [--note TEXT]",
	"let an issuance that waits for approval go on", cmd_approvals_approve},
    {"approvals", "list",
	"[--state S] [--certificate-id ID] [--requested-by NAME]",
	"requests for approval, newest first", cmd_approvals_list},
    {"approvals", "reject", "ID [--note TEXT]",
	"cancel an issuance that waits for approval", cmd_approvals_reject},
    {"certs", "get", "ID", "one certificate", cmd_certs_get},
    {"certs", "list", "[--status S] [--page N] [--per-page N]", "certificates",
	cmd_certs_list},
    {"certs", "renew", "ID [--wait] [--timeout S] [--force]",
	"renew now; --wait follows it until it is served", cmd_certs_renew},
    {"jobs", "cancel", "ID", "cancel a job that waits", cmd_jobs_cancel},
    {"jobs", "get", "ID", "one job", cmd_jobs_get},
    {"jobs", "list",
	"[--status S] [--type T] [--certificate-id ID] [--target-id ID]",
	"jobs, newest first", cmd_jobs_list},
    {"status", NULL, "", "every process, and whether all is well", cmd_status},
};
const size_t ncommands = ARRAY_LEN(commands);
