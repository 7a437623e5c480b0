# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The part of the script tally that installs packages and builds. A checkout that cannot be written
# is not built, nor is an installation: its programs are found where they are.

packages=(cmake ninja-build gcc g++ pkg-config liburcu-dev libhwloc-dev
          libjansson-dev libgsl-dev libcriterion-dev libmimalloc-dev
          libmicrohttpd-dev python3)

# can_build PRESET: whether a build can write its folder
can_build() {
    local folder=$root/build/$1
    [[ -z ${TALLY_NO_BUILD-} ]] || return 1 # a test's copy of the sources has another's programs
    [[ -z $installed ]] || return 1
    if [[ ! -d $folder ]]; then
        [[ -w $root && (! -e $root/build || -w $root/build) ]]
    else
        [[ -w $folder && (! -e $folder/.ninja_log || -w $folder/.ninja_log) ]]
    fi
}

# need_programs PRESET [TARGET...]: what a checkout that cannot be written lacks
need_programs() {
    local preset=$1 target program newest='' newer=''
    if [[ -n $installed ]]; then
        for target in "${@:2}"; do
            [[ -n $(program_path "$target") ]] || wrong "the program $target is not installed;" \
                'it needs a build with -DTALLY_CAUSE_DRIVERS=ON or -DTALLY_BACKEND=all'
        done
        return
    fi
    [[ -d $root/build/$preset ]] || wrong \
        "'$root' cannot be written, and nothing is built in it; let its owner run ./tally build"
    for target in "${@:2}"; do
        program=$(program_path "$target")
        [[ -n $program ]] || wrong "'$root' cannot be written, and $target is not built in it;" \
            'let its owner run ./tally build'
        [[ -n $newest && ! $program -nt $newest ]] || newest=$program
    done
    # A source that is newer than all of them was changed after they were built.
    [[ -z $newest ]] || newer=$(cd "$root" \
        && find core gil nogil workloads -name '*.[ch]' -newer "$newest" -print -quit \
        2>/dev/null) || true
    [[ -z $newer ]] || echo "tally: beware: $newer is newer than the programs" >&2
    [[ -n ${TALLY_NO_BUILD-} ]] ||
        echo "tally: '$root' cannot be written; measures with the programs that are built in it" >&2
}

# install_packages [PRESET]: those that a build of it needs
install_packages() {
    local package as_root=()
    local -a missing=()
    can_build "${1:-release}" || return 0
    for package in "${packages[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null \
            || true) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    [[ -z $no_install ]] || wrong "these packages are missing: ${missing[*]}; install them, or" \
        'leave out --no-install'
    echo "Installing missing packages: ${missing[*]}" >&2
    if ((EUID != 0)); then
        command -v sudo >/dev/null || { echo \
            "tally: not root and no sudo; install these packages first: ${missing[*]}" >&2; exit \
            1; }
        as_root=(sudo)
    fi
    local -a install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends "${missing[@]}")
    # The lists of a fresh system are empty or old: fetch them only when needed.
    "${install[@]}" >/dev/null 2>&1 && return 0
    "${as_root[@]}" apt-get update -qq >&2
    "${install[@]}" >&2
}

# configured_backends PRESET: what its build folder was configured with, if at all
configured_backends() {
    sed -n 's/^TALLY_BACKEND:[A-Z]*=//p' "$root/build/$1/CMakeCache.txt" 2>/dev/null || true
}

# build PRESET BACKENDS [TARGET...]: configures where that has changed, then
# builds the targets, or all there are
build() {
    local preset=$1 backends=$2
    local folder=$root/build/$preset
    local -a targets=()
    can_build "$preset" || { need_programs "$preset" "${@:3}"; return 0; }
    (($# == 2)) || targets=(--target "${@:3}")
    if [[ ! -f $folder/build.ninja || $(configured_backends "$preset") != "$backends" ]]; then
        (cd "$root" && quietly cmake --preset "$preset" "-DTALLY_BACKEND=$backends")
    fi
    (cd "$root" && with_progress cmake --build "$folder" --parallel "${targets[@]}")
}

# with_progress COMMAND...: quietly, but for how far ninja is: on a terminal in one line that is
# rewritten, elsewhere in a line every ten seconds
with_progress() {
    local line log='' begin='' end=$'\n' done all started=$SECONDS last=$SECONDS
    [[ ! -t 2 ]] || begin=$'\r\e[K' end=''
    while IFS= read -r line; do
        log+=$line$'\n'
        [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
        done=${BASH_REMATCH[1]} all=${BASH_REMATCH[2]}
        ((SECONDS >= last + (${#begin} ? 1 : 10))) || continue
        last=$SECONDS
        local left=$(((SECONDS - started) * (all - done) / done))
        printf '%sbuilding: %d of %d steps, about %d:%02d left%s' "$begin" "$done" "$all" \
            $((left / 60)) $((left % 60)) "$end" >&2
    done < <("$@" 2>&1)
    wait $! && { printf '%s' "$begin" >&2; return 0; }
    printf '%s%s' "$begin" "$log" >&2
    echo "tally: failed: $*" >&2
    return 1
}

# quietly COMMAND...: its output is shown only where it fails; it needs no file for that
quietly() {
    local log
    log=$("$@" 2>&1) && return 0
    printf '%s\n' "$log" >&2
    echo "tally: failed: $*" >&2
    return 1
}

# Ablations are built once they were asked for, and then stay.
backend_list() {
    if [[ ${2:-} == all || $(configured_backends "$1") == all ]]; then
        echo all
    else
        joined "${products[@]}" | tr , ';'
    fi
}

version() {
    if [[ -n $installed ]]; then
        cat "$root/version"
    else
        echo "tally $(sed -n 's/^project(tally VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt"),\
 commit $(commit)"
    fi
}

commit() {
    local id
    [[ -z $installed ]] || { version | sed 's/.*, commit //'; return; }
    id=$(git -C "$root" rev-parse --short=12 HEAD 2>/dev/null) || { echo unknown; return; }
    git --no-optional-locks -C "$root" diff --quiet HEAD -- 2>/dev/null || id+=" with changes"
    echo "$id"
}

# check_build REV: a commit, or a folder with drivers
check_build() {
    [[ -d $1 || -z $installed && -z $own_drivers ]] || wrong \
        "--against '$1' is no folder of drivers, and a commit needs a checkout; name a folder"
    [[ -d $1 ]] || git -C "$root" rev-parse --quiet --verify "$1^{commit}" >/dev/null 2>&1 ||
        wrong "--against '$1' is no commit of this checkout and no build folder; name one"
}

# find_build REV BACKENDS WANTED: sets other_drivers, and builds a commit where that was not
# done. The build stays in build/, its sources do not.
find_build() {
    local id folder driver
    local -a programs
    driver=tally-$(first_backend "$2")
    if [[ -d $1 ]]; then
        other_drivers=$(find "$1" -type f -name "$driver" -perm -u+x -printf '%h\n' -quit)
        [[ -n $other_drivers ]] || wrong "--against '$1' holds no program $driver; build it there"
        export TALLY_AGAINST_COMMIT=$1
        return 0
    fi
    id=$(git -C "$root" rev-parse --short=12 "$1^{commit}")
    folder=$root/build/against-$id
    export TALLY_AGAINST_COMMIT=$id
    other_drivers=$folder
    [[ $(cat "$folder/built" 2>/dev/null) != *"$(backend_names "$2")"* ]] || return 0
    mapfile -t programs < <(backend_names "$2" | sed 's/^/tally-/')
    build_commit "$id" "$folder" "$(backend_list release "$3")" "${programs[@]}"
    backend_names "$2" >"$folder/built"
}

# build_commit ID FOLDER BACKENDS TARGET...: with the options of this checkout's build
build_commit() (
    local id=$1 folder=$2 backends=$3 option
    local -a options=()
    trap 'git -C "$root" worktree remove --force "$folder/source" >/dev/null 2>&1' EXIT
    for option in CMAKE_C_COMPILER CMAKE_C_FLAGS CMAKE_C_FLAGS_RELEASE; do
        options+=("-D$option=$(
            sed -n "s/^$option:[A-Z]*=//p" "$root/build/release/CMakeCache.txt")")
    done
    echo "tally: builds $id to compare with" >&2
    quietly git -C "$root" worktree prune
    rm -rf -- "${folder:?}"
    quietly git -C "$root" worktree add --detach --force "$folder/source" "$id"
    cd "$folder/source"
    quietly cmake --preset release -B "$folder" "${options[@]}" -DTALLY_TESTS=OFF \
        "-DTALLY_BACKEND=$backends"
    with_progress cmake --build "$folder" --parallel --target "${@:4}"
)

# The backends that a --backends value names, one per line.
backend_names() {
    case $1 in
        '') printf '%s\n' "${products[@]}" ;;
        all) printf '%s\n' "${known_backends[@]}" ;;
        *) tr , '\n' <<<"$1" ;;
    esac
}

first_backend() {
    backend_names "$1" | sed -n 1p
}

driver_targets() {
    backend_names "$1" | sed "h; s/.*/tally-&/p; g; s/.*/tally-&-counted/"
}

# Drivers without object locks, of the backends that have such locks.
unlocked_targets() {
    local backend
    for backend in $(backend_names "$1"); do
        backend_table | awk -v name="$backend" '$1 == name && $4 == "nogil" {
            print "tally-" name "-unlocked" }'
    done
}

# Drivers of the first backend with the counts of another: what counts alone cost.
ablation_targets() {
    backend_table | awk '$2 == "ablation" && $4 == "gil" { print "tally-" $1 }'
}

# extra_targets BACKENDS WORKLOADS: the programs of convoy, task-server and findings, where they are
# measured
extra_targets() {
    local all=,$2,
    [[ $all != *,findings,* ]] || backend_names "$1" | sed 's/^/findings-/'
    [[ ! $all =~ ,(convoy|findings), && -n $2 ]] ||
        backend_names "$1" | sed 's/^/convoy-/'
    [[ $all != *,task-server,* && (-n $2 || ! -v given[full]) ]] ||
        backend_names "$1" | sed 's/^/task-server-/'
}

# judge OPTION...: what the program says of the values, before the drivers are built
judge() {
    local program
    if can_build release; then
        install_packages
        build release "$(backend_list release "$wanted")" tally-compare
    fi
    program=$(program_path tally-compare)
    [[ -z $program ]] || "$program" judge "$@" || exit
}

program_path() {
    local folder=$root
    [[ -n $installed ]] || folder+=/build/release
    find -H "$folder" -type f -name "$1" -perm -u+x -print -quit
}
