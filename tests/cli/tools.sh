#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# tools.sh: what the tools do when something around them goes wrong: folders that two
# runs want, that vanish or are full; journals of others; texts that are no files;
# output that is lost; drivers that are killed; signals; a checkout that cannot be written.
#
# tools.sh BUILD_DIR folders|journals|interpreter|inputs|output|kills|load|signals|readonly
# [TIMER_LIBRARY]
set -u

# shellcheck source=tests/support/judge.sh
. "$(dirname "$0")/../support/judge.sh"

if [ $# -lt 2 ] || [ ! -d "$1" ]; then
    echo "usage: $0 BUILD_DIR TOPIC [TIMER_LIBRARY]" >&2
    exit 2
fi
drivers=$(cd "$1" && pwd)
topic=$2
timer=${3:-}
root=$(cd "$(dirname "$0")/../.." && pwd)
compare=$drivers/tally-compare
backend=
for driver in "$drivers"/tally-gil "$drivers"/tally-*; do
    case ${driver##*/} in
        *.* | tally-compare | tally-heap | tally-draw | *-counted | *-unlocked) continue ;;
    esac
    [ -f "$driver" ] && [ -x "$driver" ] || continue
    backend=${driver##*/tally-}
    break
done
if [ -z "$backend" ]; then
    echo "no driver tally-* in $drivers" >&2
    exit 1
fi
run="run --drivers $drivers --backends $backend --workloads churn --threads 1 --quick --rounds 2"

# call COMMAND...: sets status
call() {
    timeout -k 5 60 "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
}

# expect NAME STATUS WORD: of the last call
expect() {
    problem=
    [ "$status" -eq "$2" ] || problem="exit status $status, not $2"
    grep -qF -- "$3" "$scratch/err" || problem="$problem${problem:+; }'$3' is not on standard error"
    judge "$1" "$problem"
}

# refused NAME WORD: the last call was refused in one line
refused() {
    expect "$1" 2 "$2"
    problem=
    lines=$(wc -l <"$scratch/err")
    [ "$lines" -eq 1 ] || problem="$lines lines on standard error, not 1"
    [ ! -s "$scratch/out" ] || problem="$problem${problem:+; }something on standard output"
    judge "$1, in one line" "$problem"
}

# wait_for FILE WORD: until the file has the word; fails after 20 s
wait_for() {
    for _ in $(seq 200); do
        grep -qF -- "$2" "$1" 2>/dev/null && return 0
        sleep 0.1
    done
    judge "$1" "it never had '$2'"
    return 1
}

# begin FOLDER: a run in the background, once it has measured; sets process
begin() {
    # shellcheck disable=SC2086 # the words of $run are arguments
    "$compare" $run --output "$1" >"$scratch/begun.out" 2>"$scratch/begun.err" </dev/null &
    process=$!
    wait_for "$1/journal.jsonl" '"run"'
}

# ended: the run that was begun ends by itself; sets status, and its errors are looked at
ended() {
    for _ in $(seq 200); do
        kill -0 $process 2>/dev/null || break
        sleep 0.1
    done
    kill -9 $process 2>/dev/null
    wait $process
    status=$?
    cp "$scratch/begun.err" "$scratch/err"
}

# goes_on FOLDER: --resume finishes what is there
goes_on() {
    call "$compare" run --drivers "$drivers" --resume "$1"
    expect "resume of $(basename "$1")" 0 'going on with the run'
}

# shellcheck disable=SC2086 # the words of $run are arguments
folders() {
    begin "$scratch/one"
    call "$compare" $run --output "$scratch/one"
    refused 'a second run' 'goes on at this moment'
    call "$compare" run --drivers "$drivers" --resume "$scratch/one"
    refused 'a resume of what is alive' 'goes on at this moment'
    # The lock goes with a process that is killed.
    kill -9 $process
    wait $process 2>/dev/null
    goes_on "$scratch/one"
    call "$compare" report "$scratch/one/results.json" --output "$scratch/one"
    judge 'a report where no run is' "$([ $status -eq 0 ] || echo "exit status $status")"

    begin "$scratch/two"
    call "$compare" report "$scratch/one/results.json" --output "$scratch/two"
    refused 'a report over a run' 'goes on at this moment'
    rm -rf "$scratch/two"
    ended
    expect 'a folder that is removed' 2 "--resume $scratch/two"
    goes_on "$scratch/two"
    begin "$scratch/three"
    mv "$scratch/three" "$scratch/moved"
    ended
    expect 'a folder that is moved' 2 "--resume $scratch/moved"
    goes_on "$scratch/moved"

    # A file that cannot grow is as a disk that is full.
    (ulimit -f 8 && timeout -k 5 60 "$compare" $run --output "$scratch/full" >"$scratch/out" \
        2>"$scratch/err" </dev/null)
    status=$?
    expect 'a disk that is full' 2 "--resume $scratch/full"
    judge 'a disk that is full, at once' \
        "$(grep -qE '^([0-9]+) of \1 ' "$scratch/err" && echo 'it measured on')"
    goes_on "$scratch/full"
    # What it says goes through a pipe, since no other file can grow either.
    { (ulimit -f 0 && timeout -k 5 60 "$compare" $run --output "$scratch/none" 2>&1 </dev/null); \
        echo "status $?"; } | cat >"$scratch/err"
    status=$(sed -n 's/^status //p' "$scratch/err")
    expect 'a disk that is full from the start' 2 'cannot write'
    judge 'a disk that is full from the start, nothing left' \
        "$([ ! -e "$scratch/none" ] || echo 'the folder is there')"

    mkfifo "$scratch/moved/journal.jsonl"
    call "$compare" $run --output "$scratch/moved"
    refused 'a pipe as a journal' 'no regular file'

    # One timeline at a time.
    "$driver" --workload churn --samples 1 --sample-ms 3000 --trace "$scratch/trace.json" \
        >"$scratch/begun.out" 2>&1 &
    process=$!
    for _ in $(seq 100); do
        [ ! -e "$scratch/trace.json.tmp" ] || break
        sleep 0.1
    done
    call "$driver" --workload churn --samples 1 --sample-ms 1 --trace "$scratch/trace.json"
    refused 'a second timeline of a name' 'another run writes'
    wait $process
    judge 'the first timeline' \
        "$([ -s "$scratch/trace.json" ] &&
            [ ! -e "$scratch/trace.json.tmp" ] || echo 'it is not whole')"
    call "$driver" --workload churn --samples 1 --sample-ms 1 --trace "$scratch/trace.json"
    judge 'a timeline after it' "$([ $status -eq 0 ] || echo "exit status $status")"
}

journals() {
    begin "$scratch/mine"
    kill -9 $process
    wait $process 2>/dev/null
    journal=$scratch/mine/journal.jsonl
    cp "$journal" "$scratch/kept"
    printf '#!/bin/sh\ntouch %s/ran\n' "$scratch" >"$scratch/evil"
    chmod +x "$scratch/evil"
    mkdir "$scratch/drivers"
    ln -s "$scratch/evil" "$scratch/drivers/tally-$backend"
    cp "$drivers/backends.json" "$scratch/drivers"
    for word in "--with-python=$scratch/evil" "--drivers=$scratch/drivers" \
        "--driv=$scratch/drivers" "--output=$scratch/other" \
        "--trace=$scratch/other" "--resume=$scratch/other" report --help --root=/ \
            --no-such-option; do
        sed "1s|\"arguments\":\\[|&\"$word\",|" "$scratch/kept" >"$journal"
        call "$compare" run --drivers "$drivers" --resume "$scratch/mine"
        refused "a journal with $word" 'journal'
        judge "a journal with $word, nothing done" \
            "$([ ! -e "$scratch/ran" ] && [ ! -e "$scratch/other" ] || echo 'it was done')"
    done
    # Scripts come from the checkout alone.
    words="\"--python-script=$scratch/evil\",\"--patterns-script=$scratch/evil\""
    words="$words,\"--server-script=$scratch/evil\""
    # What belongs to no job of the run, or to another list, is measured again.
    sed 's/"list":"[a-z_]*"/"list":"workloads"/'"
        1s|\"arguments\":\[|&$words,|" "$scratch/kept" >"$journal"
    echo '{"job":1,"failure":{"workload":7}}' >>"$journal"
    call "$compare" run --drivers "$drivers" --resume "$scratch/mine"
    expect 'a journal with runs in no list' 0 ': 0 of '
    problem=
    grep -q '"failures": \[\]' "$scratch/mine/results.json" || problem='it took a failure over'
    judge 'a journal with a failure of nothing' "$problem"
    judge 'a journal with scripts' "$([ ! -e "$scratch/ran" ] || echo 'they were run')"
}

# What --with-python names is not taken from a journal; it is to be given again.
interpreter() {
    if command -v python3 >"$scratch/out"; then
        # The interpreter is given again.
        python="--with-python python3"
        python="$python --python-script $root/workloads/experiments/python/collector.py"
        # shellcheck disable=SC2086 # words
        "$compare" run --drivers "$drivers" --backends "$backend" --workloads tasks-weakref \
            --threads 1 --quick --rounds 2 $python \
            --output "$scratch/python" >"$scratch/out" 2>"$scratch/err" </dev/null &
        process=$!
        wait_for "$scratch/python/journal.jsonl" '"run"'
        kill -INT $process
        wait $process
        status=$?
        expect 'a run with an interpreter, ended' 130 \
            "--resume $scratch/python --with-python python3"
        call "$compare" run --drivers "$drivers" --resume "$scratch/python"
        refused 'a resume without the interpreter' 'with-python'
        # shellcheck disable=SC2086 # words
        call "$compare" run --drivers "$drivers" --resume "$scratch/python" $python
        expect 'a resume with the interpreter' 0 'going on'
        judge 'a resume with the interpreter, whole' \
            "$(grep -q '"failures": \[\]' "$scratch/python/results.json" || echo 'it has failures')"
    fi
}

# shellcheck disable=SC2086 # the words of $run are arguments
inputs() {
    mkfifo "$scratch/pipe"
    for text in "$scratch/pipe" /dev/zero /dev/tty "$scratch" "$scratch/none"; do
        call timeout 10 "$driver" --workload wordcount --samples 1 --sample-ms 1 --time-limit 1 \
            --text "$text"
        refused "a driver with the text $text" "$text"
        call timeout 10 "$compare" $run --text "$text" --output "$scratch/none"
        refused "a comparison with the text $text" "$text"
    done
    mkdir "$scratch/drivers"
    mkfifo "$scratch/drivers/backends.json"
    call timeout 10 "$compare" run --drivers "$scratch/drivers" --output "$scratch/none"
    refused 'a pipe as a list of backends' 'backends.json'
    call timeout 10 "$root/tally" compare --text "$scratch/pipe"
    refused 'the script with a pipe as a text' "$scratch/pipe"
    mkdir "$scratch/run"
    mkfifo "$scratch/run/journal.jsonl"
    call timeout 10 "$root/tally" compare --resume "$scratch/run"
    refused 'the script with a pipe as a journal' "$scratch/run"
}

# lost STATUS COMMAND...: with output that is closed, full or a pipe without a reader, the command
# says so
lost() {
    wanted=$1
    shift
    timeout 60 "$@" >&- 2>"$scratch/err" </dev/null
    status=$?
    expect "closed: $*" "$wanted" 'standard output'
    timeout 60 "$@" >&- 2>"$scratch/err" <&-
    status=$?
    expect "closed, with input: $*" "$wanted" 'standard output'
    timeout 60 "$@" >/dev/full 2>"$scratch/err" </dev/null
    status=$?
    expect "full: $*" "$wanted" 'No space left'
    timeout 60 "$@" >&4 2>"$scratch/err" </dev/null
    status=$?
    expect "pipe: $*" "$wanted" 'Broken pipe'
}

# shellcheck disable=SC2086 # the words of $run are arguments
output() {
    # Descriptor 4 is a pipe whose reader is gone, before anything is written to it.
    mkfifo "$scratch/unread"
    exec 3<>"$scratch/unread"
    exec 4>"$scratch/unread" 3<&-
    lost 1 "$driver" --help
    lost 1 "$driver" --version
    lost 1 "$driver" --list
    lost 1 "$driver" --list --json
    lost 1 "$driver" --workload churn --samples 1 --sample-ms 1 --warmup-ms 0
    lost 1 "$driver" --json --workload churn --samples 1 --sample-ms 1 --warmup-ms 0
    lost 1 "$driver" --workload churn --samples 1 --sample-ms 1 --warmup-ms 0 --processes 2
    lost 1 "$drivers/workloads/experiments/findings/findings-$backend" --list
    lost 1 "$drivers/workloads/experiments/findings/findings-$backend" slots --size 1
    lost 1 "$drivers/workloads/experiments/convoy/convoy-$backend" --help
    lost 1 "$drivers/workloads/experiments/convoy/convoy-$backend" --requests 2 --pause 10
    lost 1 "$drivers/workloads/experiments/benchmarks/allocator-benchmark-$backend" --quick
    lost 1 "$drivers/workloads/experiments/benchmarks/collector-benchmark-$backend" -c 2 stop
    lost 1 "$drivers/workloads/experiments/benchmarks/collector-benchmark-$backend" -c 2 young
    [ ! -x "$drivers/workloads/experiments/server/task-server-$backend" ] \
        || lost 1 "$drivers/workloads/experiments/server/task-server-$backend" --seconds 1
    lost 1 "$compare" --help
    lost 1 "$compare" tune --check
    call "$compare" run --drivers "$drivers" --backends "$backend" --workloads churn --threads 1 \
        --quick --rounds 2 --output "$scratch/report"
    lost 1 "$compare" diff "$scratch/report/results.json" "$scratch/report/results.json"
    lost 1 "$compare" report "$scratch/report/results.json" --output "$scratch/again"
    judge 'the report all the same' \
        "$([ -s "$scratch/again/report.html" ] || echo 'it is not there')"
    "$compare" run --drivers "$drivers" --backends "$backend" --workloads churn --threads 1 \
        --quick --rounds 2 --output "$scratch/lost" >&- 2>"$scratch/err"
    status=$?
    expect 'a run without output' 1 "the report is in $scratch/lost"
    judge 'a run without output, its report' \
        "$([ -s "$scratch/lost/report.html" ] &&
            [ ! -e "$scratch/lost/journal.jsonl" ] || echo 'it is not whole')"
    if command -v python3 >"$scratch/out"; then
        for script in 'python/collector.py --list' 'python/patterns.py --list' \
            'convoy/convoy.py --requests 2 --pause 10'; do
            lost 1 python3 -B "$root/workloads/experiments/"$script
        done
    fi
}

# gone NAME PROCESS...: within 3 s none of them is there
gone() {
    name=$1
    shift
    judge "$name, its processes" "$([ $# -gt 0 ] || echo 'there were none')"
    for _ in $(seq 30); do
        left=
        for each in "$@"; do
            # A process that waits for its parent to look is gone.
            case $(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$each/status" 2>/dev/null) \
                in '' | Z | X) ;; *) left="$left $each" ;; esac
        done
        [ -n "$left" ] || break
        sleep 0.1
    done
    judge "$name" "${left:+still there:$left}"
    # shellcheck disable=SC2086 # numbers
    [ -z "$left" ] || kill -9 $left
}

# descendants PROCESS: all of them
descendants() {
    for each in $(cat "/proc/$1/task/"*/children 2>/dev/null); do
        echo "$each"
        descendants "$each"
    done
}

# killed NAME COUNT COMMAND...: once it has so many descendants, SIGKILL ends it and them
killed() {
    name=$1
    wanted=$2
    shift 2
    "$@" >"$scratch/out" 2>"$scratch/err" </dev/null &
    process=$!
    # Twice in a row: some are there for a moment only, such as those that find an interpreter.
    before=0
    for _ in $(seq 75); do
        found=$(descendants $process)
        count=$(echo "$found" | grep -c .)
        [ "$before" -lt "$wanted" ] || [ "$count" -lt "$wanted" ] || break
        before=$count
        sleep 0.2
    done
    kill -9 $process
    wait $process 2>/dev/null
    # shellcheck disable=SC2086 # numbers
    gone "$name" $found
}

kills() {
    killed 'a driver with processes' 3 "$driver" --workload churn --processes 3 --samples 1 \
        --sample-ms 60000
    killed 'a driver with processes that warm up' 2 "$driver" --workload handoff --processes 2 \
        --samples 1 --warmup-ms 60000
    killed 'a comparison with processes' 3 "$compare" run --drivers "$drivers" --backends \
        "$backend" --workloads churn --threads 2 \
        --mode threads,processes --full --output "$scratch/processes"
    killed 'the measurement of the convoy' 1 "$compare" run --drivers "$drivers" --backends \
        "$backend" --workloads convoy --full --output "$scratch/convoy"
    killed 'findings' 1 "$compare" run --drivers "$drivers" --backends "$backend" --workloads \
        findings --output "$scratch/findings"
    ! command -v python3 >"$scratch/out" ||
        killed 'the convoy of Python' 1 python3 -B "$root/workloads/experiments/convoy/convoy.py" \
            --requests 3000
}

# The task server and what loads it end with the script, and one run at a time has a folder.
load() {
    server=$drivers/workloads/experiments/server/task-server-$backend
    script=$root/workloads/experiments/server/load.py
    if [ -x "$server" ] && command -v wrk >"$scratch/out"; then
        killed 'the load of the task server' 2 python3 -B "$script" "$server" --seconds 60
        run="run --drivers $drivers --backends $backend --workloads task-server --threads 1
            --server-script $script --quick"
        # shellcheck disable=SC2086 # the words of $run are arguments
        "$compare" $run --output "$scratch/server" >"$scratch/begun.out" 2>"$scratch/begun.err" \
            </dev/null &
        process=$!
        wait_for "$scratch/server/journal.jsonl" tally-journal
        # shellcheck disable=SC2086 # the words of $run are arguments
        call "$compare" $run --output "$scratch/server"
        refused 'a second load in one folder' 'goes on at this moment'
        wait $process
        judge 'the first load' \
            "$(grep -q '^## A server' "$scratch/server/report.md" || echo 'it wrote nothing')"
    else
        echo "no wrk or no task server: not tested" >&2
    fi
}

signals() {
    # In processes of their own, so that what makes the signals is in the program alone.
    interrupted="env LD_PRELOAD=$timer"
    for driver in "$drivers"/tally-gil "$drivers"/tally-atomic "$drivers"/tally-biased; do
        [ -x "$driver" ] || continue
        for arguments in '--workload churn --threads 2 --sample-ms 100' \
            '--workload churn --processes 2 --sample-ms 100' \
            '--workload handoff --threads 2 --total 1000' \
                '--workload gc-garbage --threads 2 --sample-ms 50'; do
            # shellcheck disable=SC2086 # words
            call timeout -s KILL 30 $interrupted "$driver" --json $arguments --samples 3 \
                --warmup-ms 10
            title="$(basename "$driver") $arguments"
            judge "$title" "$([ $status -eq 0 ] || echo "exit status $status")"
            judge "$title, whole" \
                "$(grep -q '"incomplete":false' "$scratch/out" || echo 'it is not whole')"
        done
        # shellcheck disable=SC2086 # words
        call timeout -s KILL 30 $interrupted \
            "$drivers/workloads/experiments/convoy/convoy-${driver##*/tally-}" --requests 20 \
            --pause 500
        judge "convoy of $(basename "$driver")" "$([ $status -eq 0 ] || echo "exit status $status")"
    done
    # shellcheck disable=SC2086 # words
    call timeout -s KILL 60 $interrupted "$compare" run --drivers "$drivers" --backends \
        "$backend" --workloads churn --threads 1 --quick --rounds 2 --output "$scratch/report"
    judge 'a comparison' "$([ $status -eq 0 ] || echo "exit status $status")"
}

readonly_checkout() {
    checkout=$scratch/checkout
    work=$scratch/work
    mkdir -p "$checkout/build/release/workloads/experiments/convoy" "$work"
    cp "$root/tally" "$root/CMakeLists.txt" "$root/CMakePresets.json" "$checkout"
    (cd "$root" && find core gil nogil workloads -name '*.py' -o -name '*.[ch]' -o -path '*/cli/*' |
        tar cf - -T - | tar xf - -C "$checkout")
    cp "$drivers"/CMakeCache.txt "$drivers"/backends.json "$checkout/build/release"
    cp "$drivers"/tally-compare "$drivers"/tally-"$backend" "$drivers"/tally-"$backend"-counted \
        "$checkout/build/release"
    cp "$drivers"/workloads/experiments/convoy/convoy-"$backend" \
        "$checkout/build/release/workloads/experiments/convoy"
    chmod 755 "$scratch"
    chmod -R a+rX,a-w "$checkout"
    chmod 777 "$work"
    user=
    if [ "$(id -u)" -eq 0 ]; then
        # To root no folder is closed.
        user="setpriv --reuid=65534 --regid=65534 --clear-groups"
        $user test -x "$checkout/tally" || { echo \
            "another user cannot reach $checkout: not tested" >&2; chmod -R u+w "$checkout"; \
            return; }
    fi
    (cd "$checkout" && find . | sort) >"$scratch/before"
    # shellcheck disable=SC2086 # words
    as_user() {
        (cd "$work" && timeout 60 $user env TMPDIR=/nonexistent HOME=/nonexistent \
            "$checkout/tally" "$@") >"$scratch/out" 2>"$scratch/err" </dev/null
        status=$?
    }
    as_user compare --quick --rounds 2 --workloads churn --backends "$backend" --threads 1
    expect 'compare' 0 'cannot be written'
    judge 'compare, its report' \
        "$([ -s "$work/$(tail -n 1 "$scratch/out")" ] || echo 'it is not what is named')"
    folder=$work/$(dirname "$(tail -n 1 "$scratch/out")")
    as_user diff "$folder/results.json" "$folder/results.json"
    judge 'diff' "$([ $status -eq 0 ] || echo "exit status $status")"
    as_user trace churn --backend "$backend" --sample-ms 10
    judge 'trace' \
        "$([ $status -eq 0 ] &&
            [ -s "$work/$(tail -n 1 "$scratch/out")" ] || echo "exit status $status")"
    as_user compare --quick --rounds 2 --workloads churn --backends "$backend" --threads 1 \
        --output "$checkout/report"
    refused 'a report in the checkout' "$checkout/report"
    as_user compare --quick --what-if --rounds 2 --workloads churn --backends atomic,biased \
        --threads 1 --output "$work/more"
    refused 'what is not built' 'is not built'
    (cd "$checkout" && find . | sort) >"$scratch/after"
    judge 'the checkout' \
        "$(cmp -s "$scratch/before" "$scratch/after" || diff "$scratch/before" "$scratch/after")"
    chmod -R u+w "$checkout"
}

case $topic in
    folders | journals | interpreter | inputs | output | kills | load | signals) $topic ;;
    readonly) readonly_checkout ;;
    *) echo "no topic $topic" >&2; exit 2 ;;
esac
judged
