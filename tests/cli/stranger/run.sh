#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh: installs a build to a temporary prefix and compiles and runs a
# stranger's program against each backend, with pkg-config alone. A program that
# was compiled for one backend does not link the library of another.
#
#     run.sh BUILD_DIR BACKEND...
set -eu

if [ $# -lt 2 ]; then
    echo "usage: $0 BUILD_DIR BACKEND..." >&2
    exit 2
fi
build=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

cmake --install "$build" --prefix "$prefix" >"$prefix/install.log" 2>&1 || {
    cat "$prefix/install.log" >&2
    exit 1
}
folders=$(find "$prefix" -name 'tally-*.pc' -exec dirname {} \; | sort -u | paste -sd:)
if [ -z "$folders" ]; then
    echo "cmake --install installed no tally-*.pc" >&2
    exit 1
fi
export PKG_CONFIG_PATH="$folders"

# backends may also be one list, separated by semicolons as in CMake
for backend in $(echo "$*" | tr ';,' '  '); do
    program=$prefix/stranger-$backend
    # shellcheck disable=SC2046 # the flags are words
    ${CC:-cc} -std=c17 -Wall -Wextra -Werror "$here/main.c" -o "$program" \
        $(pkg-config --cflags --libs "tally-$backend")
    name=$("$program")
    if [ "$name" != "$backend" ]; then
        echo "the program built with tally-$backend says '$name'" >&2
        exit 1
    fi
    echo "tally-$backend: compiled and ran"
done

# refused WHAT CFLAGS LIBS: the program does not link, and the linker names what it was compiled
# for.
refused() {
    # shellcheck disable=SC2086 # the flags are words
    if ${CC:-cc} -std=c17 $2 "$here/main.c" -o "$prefix/mixed" $3 2>"$prefix/mixed.log"; then
        echo "$1: it links without a word" >&2
        exit 1
    fi
    if ! grep -q 'undefined reference.*tally_compiled_for_' "$prefix/mixed.log"; then
        echo "$1: not the error that was expected:" >&2
        cat "$prefix/mixed.log" >&2
        exit 1
    fi
}

# A module that only counts inline refers to the backend, too; and a linker that drops what nobody
# uses keeps that.
cat >"$prefix/module.c" <<TEXT
#include <tally/tally.h>
void module(tally_object *object) { tally_incref(object); }
TEXT
for backend in $(echo "$*" | tr ';,' '  '); do
    flags=$(pkg-config --cflags "tally-$backend")
    libs=$(pkg-config --libs "tally-$backend")
    for other in $(echo "$*" | tr ';,' '  '); do
        [ "$other" != "$backend" ] || continue
        refused "compiled for $backend, linked with $other" "$flags" \
            "$(pkg-config --libs "tally-$other")"
        other_flags=$(pkg-config --cflags "tally-$other")
        # shellcheck disable=SC2086 # the flags are words
        ${CC:-cc} -std=c17 -c $other_flags "$prefix/module.c" -o "$prefix/module.o"
        refused "$backend with a module for $other" "$flags" "$prefix/module.o $libs"
    done
    refused "$backend, sections dropped" \
        "$(pkg-config --cflags "tally-$backend") -DTALLY_COUNT_EVENTS -ffunction-sections \
            -fdata-sections -Wl,--gc-sections" "$libs"
    case $backend in
        gil-biased) others="TALLY_SAMPLING=1 TALLY_PER_THREAD_REFCOUNTS=1" ;;
        biased-fixed) others="TALLY_SAMPLING=1 TALLY_PER_THREAD_REFCOUNTS=0" ;;
        *) others="TALLY_SAMPLING=0 TALLY_PER_THREAD_REFCOUNTS=0" ;;
    esac
    for definition in TALLY_COUNT_EVENTS TALLY_LOCKS_OFF TALLY_FAILPOINTS $others; do
        refused "$backend with -D$definition" "$flags -D$definition" "$libs"
    done
done
echo "no program links another backend's library"
