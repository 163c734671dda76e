#!/usr/bin/env bash
# Shared memory beside bytes in the message: the identity model with 1 MiB of floats in and out, over
# HTTP/1.1, in turns on the same machine at the same time of day. Neither client makes its numbers
# anew for each request. Prints, for each load, the median requests a second of both, their ratio, and
# the CPU microseconds a request of the server. OUT: build folder; SECONDS_EACH, ROUNDS: the load.
set -eu
each=${SECONDS_EACH:-2}
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
need wrk wrk
need curl curl

floats=262144
bytes=$((floats * 4))
mkdir -p "$work/models/identity/1"
cat >"$work/models/identity/config.pbtxt" <<'CONFIG'
name: "identity" backend: "identity"
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] }]
CONFIG
cat >"$work/binary.lua" <<LUA
local json = [[{"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[$floats],"parameters":{"binary_data_size":$bytes}}],"outputs":[{"name":"OUTPUT0","parameters":{"binary_data":true}}]}]]
wrk.method = "POST"
wrk.headers["Inference-Header-Content-Length"] = tostring(#json)
wrk.body = json .. string.rep("\0\0\128\63", $floats)
LUA
cat >"$work/shm.lua" <<LUA
wrk.method = "POST"
wrk.body = [[{"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[$floats],"parameters":{"shared_memory_region":"r","shared_memory_byte_size":$bytes}}],"outputs":[{"name":"OUTPUT0","parameters":{"shared_memory_region":"r","shared_memory_offset":$bytes,"shared_memory_byte_size":$bytes}}]}]]
LUA

"$out/tern" serve "$work/models" --listen 127.0.0.1:0 --no-supervise --no-log-access --log-level error \
    --http-requests-per-connection 1000000000 --shm-enabled --ready-file "$work/ready" 2>"$work/tern.log" &
PID=$!
pids+=("$PID")
until [ -s "$work/ready" ]; do kill -0 "$PID"; sleep 0.002; done
addr=$(sed -n 's|^http://||p' "$work/ready")
key=/tern_bench_$$
trap 'rm -f "/dev/shm$key"; kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
head -c $((2 * bytes)) /dev/zero >"/dev/shm$key"
curl -sf -d "{\"key\":\"$key\",\"offset\":0,\"byte_size\":$((2 * bytes))}" \
    "http://$addr/v2/systemsharedmemory/region/r/register"

load() { # SCRIPT CONNS -> "req/s cpu_us"
    local u0 s0 u1 s1 log=$work/wrk.log
    read -r u0 s0 < <(cpu "$PID")
    wrk -t1 -c"$2" -d"${each}s" -s "$work/$1.lua" "http://$addr/v2/models/identity/infer" >"$log"
    read -r u1 s1 < <(cpu "$PID")
    if grep -q 'Non-2xx\|Socket errors' "$log"; then cat "$log" "$work/tern.log" >&2; exit 1; fi
    awk -v t=$((u1 - u0 + s1 - s0)) -v hz="$hz" '
        /requests in/ { n = $1 } /Requests\/sec/ { r = $2 }
        END { printf "%.0f %.1f\n", r, t / hz * 1e6 / n }' "$log"
}

column() { cut -d' ' -f"$2" "$work/$1" | median; }
printf '%-22s %10s %10s %7s %-13s | %s\n' load binary/s shm/s ratio min-max "server CPU us/request: binary, shm"
for conns in 1 4; do
    truncate -s 0 "$work/b" "$work/s" "$work/ratio"
    for _ in $(seq "$rounds"); do
        b=$(load binary "$conns")
        s=$(load shm "$conns")
        echo "$b" >>"$work/b"
        echo "$s" >>"$work/s"
        awk -v b="${b%% *}" -v s="${s%% *}" 'BEGIN { printf "%.2f\n", s / b }' >>"$work/ratio"
    done
    printf '%-22s %10s %10s %7s %-13s | %s, %s\n' "1 MiB in and out c=$conns" "$(column b 1)" \
        "$(column s 1)" "$(median <"$work/ratio")" \
        "$(sort -n "$work/ratio" | sed -n '1p;$p' | paste -sd-)" "$(column b 2)" "$(column s 2)"
done
