#!/usr/bin/env bash
# HTTP/2: our stack (http_const) against the null nghttp2 server, in pairs ABAB on the same machine at
# the same time of day. Prints, for each load, the median ratio of requests a second and the CPU
# microseconds a request of both. OUT: build folder; REQUESTS, ROUNDS, LOOPS: the load.
set -eu
requests=${REQUESTS:-300000}
loops=${LOOPS:-1}
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
need h2load nghttp2-client

ticks() { cpu "$1" | awk '{ print $1 + $2 }'; } # user and system

printf '%s' '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}' >"$work/post"

load() { # ADDR PID REQUESTS H2LOAD-OPTIONS... -> "req/s cpu_us"
    local addr=$1 pid=$2 n=$3 c0 c1 log=$work/h2load.log
    shift 3
    c0=$(ticks "$pid")
    h2load -n "$n" "$@" "http://$addr/v2/models/iris/infer" >"$log"
    c1=$(ticks "$pid")
    grep -q "$n succeeded" "$log" || { cat "$log" >&2; exit 1; }
    awk -v c=$((c1 - c0)) -v hz="$hz" -v n="$n" '/^finished in/ { printf "%.0f %.3f\n", $4, c / hz * 1e6 / n }' "$log"
}

start null_h2 "$loops"; null_addr=$ADDR null_pid=$PID
start http_const "$loops"; tern_addr=$ADDR tern_pid=$PID
printf '%-24s %10s %10s %7s %13s | %s\n' load null/s tern/s ratio min-max "CPU us/request: null, tern"
compare() { # NAME REQUESTS H2LOAD-OPTIONS...
    local name=$1 n=$2 a b
    shift 2
    truncate -s 0 "$work/null" "$work/tern" "$work/ratio"
    for _ in $(seq "$rounds"); do
        a=$(load "$null_addr" "$null_pid" "$n" "$@")
        b=$(load "$tern_addr" "$tern_pid" "$n" "$@")
        echo "$a" >>"$work/null"
        echo "$b" >>"$work/tern"
        awk -v a="${a%% *}" -v b="${b%% *}" 'BEGIN { printf "%.3f\n", b / a }' >>"$work/ratio"
    done
    column() { cut -d' ' -f"$2" "$work/$1" | median; }
    printf '%-24s %10s %10s %7s %13s | %s, %s\n' "$name" "$(column null 1)" "$(column tern 1)" \
        "$(median <"$work/ratio")" "$(sort -n "$work/ratio" | sed -n '1p;$p' | paste -sd-)" \
        "$(column null 2)" "$(column tern 2)"
}
compare "get  8 x 16 streams" "$requests" -c8 -m16
compare "post 8 x 16 streams" "$requests" -c8 -m16 -d "$work/post"
compare "post 4 x 100 streams" "$requests" -c4 -m100 -d "$work/post"
compare "post 64 x 1 stream" $((requests / 5)) -c64 -m1 -d "$work/post"
