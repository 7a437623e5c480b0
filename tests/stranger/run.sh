#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh: installs a build to a temporary prefix and compiles and runs a
# stranger's program against each backend, with pkg-config alone.
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
