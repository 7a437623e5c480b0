#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check_includes.sh BUILD: that each header compiles alone, and which folder includes which:
# core never includes gil or nogil, gil and nogil never include each other, and the folders of core
# need each other in one direction only, as told by the compiler (-MM).
set -euo pipefail

build=$1
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
failed=0
fail() { echo "$*" >&2; failed=1; }

# flags REFCOUNT HOUSE BACKEND: as the library of that backend is compiled.
flags() {
    echo "-std=gnu17 -Wall -Wextra -Werror -Wno-unused-function -Wno-unused-parameter
          -I$root/core -I$root/$1
          -I$build/backends/$3 -I$root/core/objects -I$root/$2 -I$root/$2/locking -I$root/$2/gc"
}
alone() { # alone HEADER FLAGS...
    local header=$1
    shift
    cc "$@" -fsyntax-only -include "$header" -x c /dev/null ||
        fail "$header does not compile alone"
}

cd "$root"
# Of CMake's table: name, refcount, house, definitions.
table=$(sed -nE 's/^tally_backend\((\S+) +\S+ +(\S+) +(\S+) *(\S*)\)/\1 \2 \3 \4/p' CMakeLists.txt)
houses=$(cut -d ' ' -f 3 <<<"$table" | sort -u)
while read -r name refcount house definition; do
    [[ -d $build/backends/$name ]] || continue
    read -r -d '' -a with < <(flags "$refcount" "$house" "$name") || true
    [[ -z $definition ]] || with+=("-D$definition")
    while read -r header; do alone "$root/$header" "${with[@]}"; done < <(
        find core "$house" "$refcount" -name '*.h' ! -path '*/refcount/*' | sort
        find "$refcount" -name '*.h')
    others=$(grep -vx "$house" <<<"$houses" | paste -sd '|')
    while read -r source; do
        cc "${with[@]}" -MM "$source" | tr -d '\\' | xargs realpath -m --relative-to="$root" |
            grep -v "^$refcount/" | grep -E "^($others)/" && fail "$source includes another house"
    done < <(find "$house" "$refcount" -name '*.c' ! -path '*/refcount/*' | sort)
done <<<"$table"

# What core names itself, whatever the include path finds: no folder of a backend.
grep -nE '#\s*include ".*(gil|atomic|biased)/' -r core && fail "core includes a backend"
grep -nE '#\s*include ".*nogil/' -r gil && fail "gil includes nogil"
grep -nE '#\s*include "(\.\./)*gil/' -r nogil && fail "nogil includes gil"

# The folders of core from the bottom up, by their headers: each includes only those below it.
order=(instrument layout debug "contract memory runtime" objects gc)
for ((i = 0; i < ${#order[@]}; i++)); do
    for folder in ${order[i]}; do
        for ((j = i; j < ${#order[@]}; j++)); do
            for above in ${order[j]}; do
                [[ $above == "$folder" ]] && continue
                grep -nE "#\s*include \"$above/" core/"$folder"/*.h &&
                    fail "a header in core/$folder includes core/$above, which is not below it"
            done
        done
    done
done
exit "$failed"
