#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh: what is installed works without the checkout, as an ordinary user, in an empty folder.
#
#     run.sh BUILD_DIR TOPIC
#
# package   the Debian packages, unpacked into a root of their own
# tool      cmake --install: the commands, moved to another place
# workload  a user's workloads, built with what is installed, by the tool and by CMake; some fail
# guide     docs/guides/your-own-workload.md: its program and its commands, in order
# backends  one backend: the installation says which are left out
set -u

# shellcheck source=tests/support/judge.sh
. "$(dirname "$0")/../support/judge.sh"

if [ $# -ne 2 ] || [ ! -d "$1" ]; then
    echo "usage: $0 BUILD_DIR package|tool|workload|guide|backends" >&2
    exit 2
fi
build=$(cd "$1" && pwd)
topic=$2
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
chmod 755 "$scratch"
work=$scratch/work
mkdir "$work"
chmod 777 "$work"

# To root no folder is closed.
user=
[ "$(id -u)" -ne 0 ] || user="setpriv --reuid=65534 --regid=65534 --clear-groups"

# call COMMAND...: as the user, in the empty folder; sets status
call() {
    # shellcheck disable=SC2086 # words
    (cd "$work" && timeout -k 5 600 $user env -u PKG_CONFIG_PATH -u CMAKE_C_COMPILER_LAUNCHER \
        HOME="$work" PATH="$prefix/bin:$PATH" "$@") >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
}

# works NAME COMMAND...
works() {
    name=$1
    shift
    call "$@"
    judge "$name" "$([ $status -eq 0 ] || echo "exit status $status")"
}

# refused WORD COMMAND...: in one line that has the word
refused() {
    word=$1
    shift
    call "$@"
    problem=
    [ $status -eq 2 ] || problem="exit status $status, not 2"
    [ "$(wc -l <"$scratch/err")" -eq 1 ] || problem="$problem${problem:+; }not one line"
    grep -qF -- "$word" "$scratch/err" || problem="$problem${problem:+; }no '$word' in it"
    judge "$*" "$problem"
}

# has FILE WORD
has() {
    judge "$(basename "$1") has '$2'" "$(grep -qF -- "$2" "$1" || echo 'it has not')"
}

# installs [ARGUMENT...]: to $prefix
installs() {
    prefix=$scratch/first
    cmake --install "$build" --prefix "$prefix" "$@" >"$scratch/log" 2>"$scratch/err" || {
        cat "$scratch/log" "$scratch/err" >&2
        exit 1
    }
}

# measures BACKENDS: a short comparison, and its report
measures() {
    works 'compare' tally compare --quick --rounds 2 --sample-ms 5 --workloads churn --threads 1 \
        --backends "$1" --output report
    judge 'the report' "$([ -s "$work/report/report.html" ] || echo 'it is not there')"
    has "$scratch/out" report/report.html
}

package() {
    (cd "$scratch" && cpack -G DEB --config "$build/CPackConfig.cmake" -B "$scratch/packages") \
        >"$scratch/err" 2>&1
    judge 'cpack' "$([ -n "$(ls "$scratch"/packages/*.deb 2>&1)" ] || echo 'made no package')"
    for name in tally libtally libtally-dev; do
        deb=$(echo "$scratch/packages/${name}_"*.deb)
        dpkg-deb -x "$deb" "$scratch/root" || failed=$((failed + 1))
        dpkg-deb -f "$deb" >"$scratch/$name"
        dpkg-deb -c "$deb" >"$scratch/$name.files"
        judge "$name, its files" "$(grep -v ' \./$\| \./usr/' "$scratch/$name.files")"
        judge "$name, its owners" "$(grep -v ' root/root ' "$scratch/$name.files")"
        judge "$name, what others may write" "$(grep '^[-d].......w' "$scratch/$name.files")"
    done
    # dpkg-shlibdeps found what the programs need.
    has "$scratch/tally" libjansson4
    has "$scratch/libtally" liburcu8
    has "$scratch/libtally-dev" 'libtally (= '
    prefix=$scratch/root/usr
    measures gil,biased
    works 'version' tally --version
    gzip -dc "$prefix/share/man/man1/tally.1.gz" >"$scratch/man"
    has "$scratch/man" 'build\-workload'
    cp "$here/mine.c" "$work"
    works 'build-workload' tally build-workload --backends gil mine.c
    works 'a workload of the user' mine-drivers/tally-gil --workload mine-well --samples 1
}

tool() {
    installs
    mv "$prefix" "$scratch/moved"
    prefix=$scratch/moved
    work="$work/an empty folder"
    mkdir "$work"
    chmod 777 "$work"
    (cd "$scratch/moved" && find . | sort) >"$scratch/before"
    measures gil
    works 'report' tally report report
    works 'diff' tally diff report/results.json report/results.json
    works 'trace' tally trace churn --sample-ms 10
    judge 'the timeline' "$([ -s "$work/churn-gil-2.json" ] || echo 'it is not there')"
    works 'a driver' tally-gil --workload churn --samples 1 --sample-ms 10 --snapshot end:heap
    works 'heap' tally heap heap --types
    works 'list' tally list
    has "$scratch/out" 'churn '
    works 'list --backends' tally list --backends
    works 'version' tally --version
    has "$scratch/out" 'tally 0.'
    works 'against a folder' tally compare --dry-run --workloads churn --against "$build"
    works 'kinds' tally compare --dry-run --workloads 'collector,-gc-live'
    works 'help' tally compare --help
    judge 'help names no checkout' "$(grep -F ./tally "$scratch/out")"
    refused 'needs a checkout' tally compare --against HEAD
    for command in test build soak; do
        refused 'needs a checkout' tally $command
    done
    refused 'did you mean churn' tally compare --workloads chrun
    refused 'TALLY_CAUSE_DRIVERS' tally compare --quick --what-if --workloads churn
    # shellcheck disable=SC2016 # of the other shell
    works 'completion' bash -c '. "$0/share/bash-completion/completions/tally"
        COMP_WORDS=(tally comp) COMP_CWORD=1; _tally tally comp
        [[ ${COMPREPLY[*]} == *compare* ]]' "$prefix"
    (cd "$scratch/moved" && find . | sort) >"$scratch/after"
    judge 'nothing is written there' "$(diff "$scratch/before" "$scratch/after")"
}

# fails WORKLOAD WORD...: the report names the workload, and has the words of its output
fails() {
    name=$1
    shift
    has "$work/mine/report.md" "**$name** on gil"
    for word in "$@"; do
        has "$work/mine/report.md" "$word"
    done
}

workload() {
    installs --component development
    installs --component tool
    cp "$here/mine.c" "$work"
    works 'build-workload' tally build-workload mine.c --output drivers --backends gil
    judge 'without a warning' "$(grep -F warning: "$scratch/err")"
    # The others go on.
    call tally compare --drivers drivers --quick --rounds 2 --sample-ms 5 --threads 1 \
        --workloads=-mine-hangs --output mine
    judge 'compare' "$([ $status -eq 1 ] || echo "exit status $status, not 1")"
    fails mine-crashes 'ended by signal 11' 'mine is about to crash'
    fails mine-wrong 'mine has the wrong sum 41'
    fails mine-exits 'exit status 7' 'mine goes away'
    has "$work/mine/report.md" 'so leak: mine-leaks'
    has "$work/mine/report.md" '<summary>mine-well</summary>'
    judge 'what works did not fail' "$(grep -F -e '**mine-well** on' -e '**mine-leaks** on' \
        "$work/mine/report.md")"
    # Alone: with a limit so short, others on a busy machine would be over it, too.
    rm -rf "$work/mine"
    call tally compare --drivers drivers --quick --rounds 2 --sample-ms 5 --threads 1 \
        --time-limit 1 --workloads mine-hangs --output mine
    judge 'compare what hangs' "$([ $status -eq 1 ] || echo "exit status $status, not 1")"
    fails mine-hangs 'exit status 124' spin_here

    # Refused, and nothing is left half written.
    echo 'int x = ;' >"$work/broken.c"
    call tally build-workload broken.c
    judge 'what does not compile' "$([ $status -eq 1 ] || echo "exit status $status, not 1")"
    has "$scratch/err" 'broken.c:1:9: error'
    has "$scratch/err" "'broken.c' does not compile for gil"
    echo 'int x;' >"$work/none.c"
    refused 'registers no workload' tally build-workload none.c
    mkdir "$work/full"
    touch "$work/full/file"
    refused 'has no drivers' tally build-workload mine.c --output full
    refused "cannot read 'no.c'" tally build-workload no.c
    refused 'needs a file' tally build-workload
    refused 'no backend' tally build-workload mine.c --backends fast
    refused 'is no folder of drivers' tally compare --drivers full
    refused 'did you mean mine-well' tally compare --drivers drivers --workloads mine-wel
    judge 'what is left' "$(cd "$work" && find . -maxdepth 1 -name '*broken-*' -o -maxdepth 1 \
        -name '*none-*' -o -maxdepth 1 -name '.tally*')"

    # With CMake.
    mkdir "$work/project"
    cp "$here/mine.c" "$root/tests/cli/stranger/main.c" "$work/project"
    cat >"$work/project/CMakeLists.txt" <<TEXT
cmake_minimum_required(VERSION 3.25)
project(mine LANGUAGES C)
find_package(Tally REQUIRED)
tally_add_workload(mine.c BACKENDS gil)
set(CMAKE_C_STANDARD 17)
add_executable(program main.c)
target_link_libraries(program PRIVATE Tally::biased)
TEXT
    chmod -R a+rwX "$work/project"
    works 'cmake' cmake -S project -B project/build -DCMAKE_PREFIX_PATH="$prefix"
    works 'cmake --build' cmake --build project/build
    works 'compare' tally compare --drivers project/build/mine --dry-run
    works 'a program' project/build/program
    has "$scratch/out" biased
}

# The comparisons of the page, shortened.
guide() {
    installs --component development
    installs --component tool
    page=$root/docs/guides/your-own-workload.md
    # shellcheck disable=SC2016 # marks of the page
    sed -n '/^```c$/,/^```$/{/^```/!p}' "$page" >"$work/squares.c"
    # shellcheck disable=SC2016
    sed -n '/^```console$/,/^```$/s/^\$ //p' "$page" |
        sed '/^tally compare/s/$/ --rounds 2 --sample-ms 5 --threads 1 --backends gil/
            /--against/s/$/ --dry-run/' >"$scratch/commands"
    judge 'the commands' "$([ "$(wc -l <"$scratch/commands")" -eq 6 ] || echo 'not 6')"
    while read -r command; do
        works "$command" bash -c "$command"
    done <"$scratch/commands"
}

# The libraries are those of this build: it is not compiled again.
backends() {
    prefix=$scratch/first
    mkdir -p "$prefix/lib" "$scratch/build"
    touch "$prefix/lib/libtally-gil.a"
    cp -P "$build"/libtally-biased.so* "$scratch/build"
    if cmake -S "$root" -B "$scratch/build" -G Ninja -DTALLY_BACKEND=biased -DTALLY_TESTS=OFF \
        -DCMAKE_INSTALL_LIBDIR=lib >"$scratch/err" 2>&1; then
        cmake --install "$scratch/build" --prefix "$prefix" --component library \
            >"$scratch/log" 2>"$scratch/err"
        status=$?
    else
        status='of cmake'
    fi
    judge 'the installation' "$([ "$status" = 0 ] || echo "status $status")"
    has "$scratch/log" \
        'Backends that are installed: biased. Left out, since TALLY_BACKEND is biased: gil atomic.'
    tr -s ' \n' ' ' <"$scratch/err" >"$scratch/line"
    has "$scratch/line" 'has the backend gil of an earlier installation'
    judge 'of the others none' "$(grep -F 'backend atomic' "$scratch/line")"
    judge 'the library' "$([ -e "$prefix/lib/libtally-biased.so.0.1.0" ] || ls "$prefix/lib")"
}

case $topic in
    package | tool | workload | guide | backends) "$topic" ;;
    *) echo "no topic $topic" >&2; exit 2 ;;
esac
judged
