# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The part of the script tally that judges names: of workloads, backends and what else has names.

# workloads_in FILE...: the folder of the file, and the name, for each that WORKLOAD, PATTERN and
# WORKLOAD_AND_BORROWED define, each over several lines
workloads_in() {
    awk 'FNR == 1 { n = split(FILENAME, path, "/") }
        /^(WORKLOAD|PATTERN)/ { text = ""; inside = 1 }
        inside { sub(/^ */, ""); text = text $0 " " }
        inside && /;$/ {
            inside = 0
            split(text, quoted, "\"")
            if (text ~ /^[A-Z_]+\( ?[a-z0-9_]+, \.name = "/ || text ~ /^WORKLOAD_AND_BORROWED/)
                print path[n - 1], quoted[2]
            if (text ~ /^WORKLOAD_AND_BORROWED/) print path[n - 1], quoted[4]
        }' "$@"
}

# contains NAME LIST...
contains() {
    local name=$1 item
    shift
    for item in "$@"; do
        [[ $item == "$name" ]] && return 0
    done
    return 1
}

joined() {
    local IFS=,
    echo "$*"
}

# nearest NAME KNOWN...: of the known names the most similar one, if it is similar at all
nearest() {
    printf '%s\n' "$@" | awk 'function least(a, b) { return a < b ? a : b }
        NR == 1 { name = $0; n = length(name); best = 2.5; next }
        {
            m = length($0)
            for (j = 0; j <= m; j++) row[j] = j
            for (i = 1; i <= n; i++) {
                corner = row[0]; row[0] = i
                for (j = 1; j <= m; j++) {
                    next_corner = row[j]
                    row[j] = least(least(row[j], row[j - 1]) + 1,
                        corner + (substr(name, i, 1) != substr($0, j, 1)))
                    corner = next_corner
                }
            }
            distance = index($0, name) == 1 && n > 2 ? 2 : row[m]
            if (distance < best && distance < n) { best = distance; found = $0 }
        }
        END { if (found) print found }'
}

# unknown WHAT NAME KNOWN...: says so, with what may have been meant
unknown() {
    local similar
    similar=$(nearest "${@:2}")
    wrong "no $1 '$2'${similar:+; did you mean $similar?}; known are $(joined "${@:3}")"
}

# choose_workloads LIST: sets workloads. An item is a name, a pattern, a kind, or one of these after
# a minus, which is left out.
choose_workloads() {
    local item name
    local -a items found chosen=()
    IFS=, read -r -a items <<<"$1"
    ((${#items[@]})) || wrong "no workload named; known are $(joined "${known_workloads[@]}")"
    [[ ${items[0]} != -* ]] || chosen=("${known_workloads[@]}" "${programs[@]:0:1}")
    for item in "${items[@]}"; do
        found=()
        for name in "${known_workloads[@]}" "${programs[@]}"; do
            # shellcheck disable=SC2053 # a pattern
            [[ $name != ${item#-} ]] || found+=("$name")
        done
        if ((!${#found[@]})) && contains "${item#-}" "${kinds[@]}"; then
            mapfile -t found < <(workload_table | sed -n "s/^${item#-} //p" | sort)
        fi
        ((${#found[@]})) || unknown workload "${item#-}" "${known_workloads[@]}" "${programs[@]}" \
            "${kinds[@]}"
        for name in "${found[@]}"; do
            if [[ $item == -* ]]; then
                mapfile -t chosen < <(printf '%s\n' "${chosen[@]}" | grep -vxF -e "$name")
            elif ! contains "$name" "${chosen[@]}"; then
                chosen+=("$name")
            fi
        done
    done
    [[ -n ${chosen[*]} ]] || wrong "--workloads '$1' leaves nothing"
    workloads=$(joined "${chosen[@]}")
}

# check_names WHAT LIST KNOWN...: each name of a comma-separated list is known
check_names() {
    local what=$1 list=$2 name
    local -a names
    shift 2
    IFS=, read -r -a names <<<"$list"
    ((${#names[@]})) || wrong "no $what named; known are $(joined "$@")"
    for name in "${names[@]}"; do
        contains "$name" "$@" || unknown "$what" "$name" "$@"
    done
}
