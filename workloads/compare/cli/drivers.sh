# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034,SC2154 # variables that parts share
#
# The part of the script tally that knows where drivers are: in a checkout's build, in the
# installation that the script is part of, or in a folder of a user's own (own_drivers), which
# build-workload makes. The last two have a list of their backends, backends.json.

# backend_table: a line per backend: its name, role, refcounts and house
backend_table() {
    local list=${own_drivers:-$root}/backends.json
    if [[ -n $own_drivers || -n $installed ]]; then
        awk -F '"' '/"name"/ { sub("/.*", "", $16); print $4, $8, $12, $16 }' "$list"
    else
        sed -n 's/^tally_backend(\([^)]*\))/\1/p' "$root/CMakeLists.txt"
    fi
}

# backends_of ROLE...
backends_of() {
    local role name
    while read -r name role _; do
        contains "$role" "$@" && echo "$name"
    done < <(backend_table)
    return 0
}

# workload_table: a line per workload: its kind, as the folders of workloads/ are named, and its
# name
workload_table() {
    local kind
    local -a files=()
    if [[ -n $own_drivers || -n $installed ]]; then
        "${own_drivers:-$root}/tally-${known_backends[0]}" --list --json |
            sed 's/{"name":/\n&/g' |
            sed -nE 's/^\{"name":"([^"]*)".*"kind":"([^" ]*)( [^"]*)?".*/\2 \1/p' |
            sed 's/^borrowed /shared /; s/^single /operations /; s/^cycle /collector /'
        return
    fi
    for kind in "${kinds[@]}"; do
        files+=("$root/workloads/$kind"/*.c)
    done
    workloads_in "${files[@]}"
}

# use_drivers FOLDER: those in the folder, and their workloads alone
use_drivers() {
    local driver
    own_drivers=$1
    export TALLY_OWN_DRIVERS=$1
    [[ -f $1/backends.json && -n $(backends_of product ablation) ]] || wrong \
        "--drivers '$1' is no folder of drivers; name one that $self build-workload made"
    for driver in $(backends_of product ablation); do
        [[ -x $1/tally-$driver ]] || wrong "--drivers '$1' lacks the program tally-$driver"
    done
    programs=()
    know_names
    [[ -n ${known_workloads[*]} ]] || wrong "--drivers '$1': the drivers name no workload"
}

# development_files: sets PKG_CONFIG_PATH to those of the installation, or of the build
development_files() {
    local folder prefix=$root/../..
    if [[ -z $installed ]]; then
        prefix=$root/build/release/development
        if can_build release; then
            build release "$(backend_list release)" development
            quietly cmake --install "$root/build/release" --component development --prefix \
                "$prefix"
        fi
    fi
    for folder in "$prefix"/lib*/pkgconfig "$prefix"/lib/*/pkgconfig; do
        [[ ! -f $folder/tally-harness-${products[0]}.pc ]] || break
    done
    [[ -d $folder ]] || wrong "there is no library to build with; install the component" \
        "development (the package libtally-dev)"
    export PKG_CONFIG_PATH=$folder${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
}

# check_workload_output FOLDER: it is new, or drivers are replaced
check_workload_output() {
    check_output "$(dirname -- "$1")"
    [[ ! -e $1 || -f $1/backends.json || -z $(ls -A -- "$1" 2>&1) ]] || wrong \
        "--output '$1' exists and has no drivers; name a folder that is new"
}

# compile_driver NAME FILE...: the driver tally-NAME in $scratch; prints what the compiler says
compile_driver() {
    local name=$1
    local -a compiler libs
    shift
    read -r -a compiler <<<"${CC:-cc} -std=gnu17 \
$(pkg-config --variable=workload_cflags "tally-harness-$name") \
$(pkg-config --cflags "tally-harness-$name") ${CFLAGS-}"
    read -r -a libs <<<"$(pkg-config --libs "tally-harness-$name") ${LDLIBS-}"
    "${compiler[@]}" "$@" -o "$scratch/tally-$name" "${libs[@]}" 2>&1
}

command_build-workload() {
    local output file backend variant said count=0 names scratch
    local -a chosen
    most=64 held='output backends'
    parse "$@"
    ((${#words[@]})) || wrong "build-workload needs a file; see $self build-workload --help"
    for file in "${words[@]}"; do
        [[ $file == *.c && -f $file && -r $file ]] || wrong \
            "cannot read '$file' as C; name a file of a workload, such as my.c"
    done
    file=$(basename -- "${words[0]}" .c)
    output=${given[output]-$file-drivers}
    [[ -n $output ]] || wrong "--output needs the name of a folder"
    [[ ! -v given[backends] || ${given[backends]} == all ]] ||
        check_names backend "${given[backends]}" "${products[@]}"
    names=${given[backends]-}
    mapfile -t chosen < <(backend_names "${names/#all/}")
    check_workload_output "$output"
    install_packages
    said=${CC:-cc}
    for said in "${said%% *}" pkg-config; do
        command -v "$said" >/dev/null || wrong "there is no $said; install gcc and pkg-config"
    done
    development_files
    said=$(pkg-config --print-errors --exists "tally-harness-${chosen[0]}" 2>&1) || wrong \
        "the libraries lack a package: $(head -n 1 <<<"$said")"
    mkdir -p -- "$(dirname -- "$output")"
    scratch=$(mktemp -d -p "$(dirname -- "$output")" .tally-drivers-XXXXXX)
    # shellcheck disable=SC2064 # the folder of this call
    trap "rm -rf -- '${scratch//\'/\'\\\'\'}'" EXIT
    for backend in "${chosen[@]}"; do
        for variant in '' -counted; do
            [[ ! -t 2 ]] || printf '\r\e[Kbuilding: %d of %d drivers' $((++count)) \
                $((2 * ${#chosen[@]})) >&2
            if ! said=$(compile_driver "$backend$variant" "${words[@]}"); then
                [[ ! -t 2 ]] || printf '\r\e[K' >&2
                [[ $said != *__start_tally_workloads* ]] || wrong \
                    "'${words[0]}' registers no workload; it needs WORKLOAD(...)"
                printf '%s\n' "$said" >&2
                echo "tally: '${words[*]}' does not compile for $backend; nothing is built" >&2
                exit 1
            fi
            # Warnings, once.
            [[ -z $said || $backend$variant != "${chosen[0]}" ]] || printf '%s\n' "$said" >&2
        done
    done
    [[ ! -t 2 ]] || printf '\r\e[K' >&2
    { echo '['; joined_lines "${chosen[@]}"; echo ']'; } >"$scratch/backends.json"
    said=$("$scratch/tally-${chosen[0]}" --list --json 2>&1) || wrong "${said#*: }"
    chmod 755 "$scratch"
    rm -rf -- "$output"
    mv -T -- "$scratch" "$output"
    echo "Measure it: $self compare --quick --drivers $output" >&2
    say "$output"
}

# backends_file: the list of the backends that are built or installed
backends_file() {
    local folder=$root
    [[ -n $installed ]] || folder+=/build/release
    echo "$folder/backends.json"
}

# joined_lines BACKEND...: their lines of backends.json
joined_lines() {
    local name
    for name in "$@"; do
        grep -F "\"name\": \"$name\"," "$(backends_file)"
    done | sed 's/,$//' | sed '$!s/$/,/'
}
