# shellcheck shell=bash disable=SC2034 # the variables are for the scripts that source this
# What the scripts that run two servers beside each other share.
out=${OUT:-build/release}
rounds=${ROUNDS:-5}
hz=$(getconf CLK_TCK)
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT

need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null && return
    echo "${0##*/} needs $1 (apt-get install $2)" >&2
    exit 1
}

start() { # NAME [ARG...] of a program in bench/ -> ADDR, PID
    : >"$work/$1"
    "$out/bench/$1" 127.0.0.1:0 "${@:2}" >>"$work/$1" &
    PID=$!
    pids+=("$PID")
    until grep -q listening "$work/$1"; do kill -0 "$PID"; sleep 0.02; done
    ADDR=$(sed -n 's/^listening on //p' "$work/$1")
}

cpu() { # PID -> "user system" in clock ticks
    sed 's/.*) //' "/proc/$1/stat" | awk '{print $12, $13}'
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
