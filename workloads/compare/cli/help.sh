# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154 # variables that parts share
#
# The part of the script tally that explains it: help, manual page and completion, all of the table
# of options.

# summaries: each command of the table, and what it does
summaries() {
    awk '/^== / { name = $2; getline; if (name != "tally-compare") print name "\t" $0 }' "$table"
}

# section COMMAND: its part of the table, without the heading
section() {
    sed -n "/^== $1 /,/^== /{/^== /!p}" "$table"
}

# named NAME...: a list as a paragraph of help
named() {
    joined "$@" | sed 's/,/, /g' | fold -s -w 70 | sed 's/^/      /; s/ *$//'
}

usage() {
    local line
    if [[ -z ${1:-} ]]; then
        printf 'Usage: tally COMMAND [OPTION...]\n\n'
        summaries | awk -F '\t' '{ printf "  tally %-10s %s\n", $1, $2 }'
        cat <<TEXT
  tally --version  print the version, and the commit
  tally man        print the manual page: ./tally man | man -l -
  tally completion print what completes these for bash: source <(./tally completion)

"tally COMMAND --help" lists the options of a command. Missing Debian packages
are installed first (as root or with sudo), not with --no-install. A checkout that
is built and cannot be written measures with the programs that are there, and writes
nothing but the report.
Exit status: 0 good, 1 a run or a test failed or standard output was lost, 2 a
wrong argument or a folder that cannot be written, 3 slower than --against, 130
Ctrl-C.
TEXT
        return
    fi
    usage_of "$1" | sed "s|\./tally|$self|g"
}

usage_of() {
    sed -n "s/^== \($1 .*\)/Usage: tally \1\n/p" "$table"
    while IFS= read -r line; do
        case $line in
            *'{workloads}') named "${known_workloads[@]}" "${programs[@]}" ;;
            *'{backends}') named "${known_backends[@]}" ;;
            *) printf '%s\n' "$line" ;;
        esac
    done < <(section "$1" | sed '1s/.*/\u&./; ${/^$/d}')
}

command_man() {
    local name self=tally
    printf '.TH TALLY 1\n.SH NAME\ntally \\- compares ways of counting references and locking\n'
    printf '.SH SYNOPSIS\n.B tally\nCOMMAND [OPTION...]\n'
    while read -r name _; do
        usage "$name" | sed 's/\\/\\e/g; s/^\./\\\&./; s/^Usage: /.SH /
            s/^  \(--.*\)/.TP\n.B \1/; s/^  *//; s/^$/.PP/; s/-/\\-/g'
    done < <(summaries)
}

# completion: of commands, then of the options of the command
command_completion() {
    local name
    printf '_tally() {\n    local words\n    case $COMP_CWORD:${COMP_WORDS[1]} in\n'
    printf "        1:*) words='%s' ;;\n" "$(summaries | cut -f 1 | paste -sd ' ')"
    while read -r name _; do
        printf "        *:%s) words='%s' ;;\n" "$name" "$(section "$name" |
            sed -n 's/^  \(--[a-z-]*\).*/\1/p' | paste -sd ' ')"
    done < <(summaries)
    printf '    esac\n    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$2")\n}\n'
    printf 'complete -o default -F _tally tally ./tally\n'
}
