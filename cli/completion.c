/*
 * completion: scripts for shells, which ask certctl itself what may stand next
 * (complete.c), so that they are never older than it.
 */
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/out.h"

static const char bash[] =
    "# certctl completion bash > /etc/bash_completion.d/certctl\n"
    "# Words are taken from the line: bash breaks them at = and : too.\n"
    "_certctl()\n"
    "{\n"
    "    local line=${COMP_LINE:0:COMP_POINT} before=\n"
    "    local breaks=${COMP_WORDBREAKS//[^=:]/}\n"
    "    local -a words\n"
    "    read -ra words <<< \"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=('')\n"
    "    line=${words[-1]}\n"
    "    [[ $breaks ]] && before=${line%\"${line##*[$breaks]}\"}\n"
    "    COMPREPLY=()\n"
    "    while read -r line; do\n"
    "        line=${line%% *}\n"
    "        [[ $line == *= ]] && compopt -o nospace\n"
    "        COMPREPLY+=(\"${line#\"$before\"}\")\n"
    "    done < <(\"${words[0]}\" __complete \"${words[@]:1}\" "
    "2>/dev/null)\n"
    "}\n"
    "complete -o default -F _certctl certctl\n";

static const char zsh[] =
    "#compdef certctl\n"
    "# certctl completion zsh > \"${fpath[1]}/_certctl\"\n"
    "_certctl()\n"
    "{\n"
    "    local line\n"
    "    local -a found keys\n"
    "    while IFS= read -r line; do\n"
    "        if [[ ${line%% *} == *= ]]; then\n"
    "            keys+=(\"$line\")\n"
    "            continue\n"
    "        fi\n"
    "        found+=(\"${${line%% *}//:/\\\\:}:${line#* }\")\n"
    "    done < <(\"${words[1]}\" __complete \"${(@Q)words[2,CURRENT]}\" "
    "2>/dev/null)\n"
    "    if (( ${#keys} )); then\n"
    "        compadd -S '' -a keys\n"
    "    elif (( ${#found} )); then\n"
    "        _describe certctl found\n"
    "    else\n"
    "        _files\n"
    "    fi\n"
    "}\n"
    "if [ \"${funcstack[1]}\" = _certctl ]; then\n"
    "    _certctl \"$@\"\n"
    "else\n"
    "    compdef _certctl certctl\n"
    "fi\n";

static const char fish[] =
    "# certctl completion fish > "
    "~/.config/fish/completions/certctl.fish\n"
    "function __certctl_complete\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    certctl __complete $words[2..-1] 2>/dev/null | "
    "string replace ' ' \\t\n"
    "end\n"
    "complete -c certctl -f -a '(__certctl_complete)'\n";

int
cmd_completion(struct cli *c)
{
	const char *shell = args_word(c, 0);

	if (strcmp(shell, "bash") == 0) {
		out_print("%s", bash);
	} else if (strcmp(shell, "zsh") == 0) {
		out_print("%s", zsh);
	} else if (strcmp(shell, "fish") == 0) {
		out_print("%s", fish);
	} else {
		out_error("\"%s\" is no shell that is known here; there are "
			  "bash, zsh and fish",
		    shell);
		return args_refuse(c);
	}
	return EXIT_DONE;
}
