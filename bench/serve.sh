#!/usr/bin/env bash
# The whole server against its anchors, in pairs on the same machine at the same time of day: JSON
# inference against the null epoll server, a binary tensor of 1 MiB against a bare recv loop, latency
# with one connection, start to READY, and memory. OUT: build folder; SECONDS_EACH, ROUNDS: the load.
set -eu
each=${SECONDS_EACH:-2}
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
need wrk wrk

start_tern() { # PATH [FLAG...] -> ADDR, PID
    local ready=$work/ready
    rm -f "$ready"
    "$out/tern" serve "$1" --listen 127.0.0.1:0 --no-supervise --no-log-access --log-level error \
        --ready-file "$ready" "${@:2}" 2>"$work/tern.log" &
    PID=$!
    pids+=("$PID")
    until [ -s "$ready" ]; do kill -0 "$PID"; sleep 0.002; done
    ADDR=$(sed -n 's|^http://||p' "$ready")
}

kib() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

cat >"$work/json.lua" <<'LUA'
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{"inputs":[{"name":"features","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}]]
LUA
cat >"$work/binary.lua" <<'LUA'
local json = [[{"inputs":[{"name":"x","datatype":"FP32","shape":[262144],"parameters":{"binary_data_size":1048576}}]}]]
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.headers["Inference-Header-Content-Length"] = tostring(#json)
wrk.body = json .. string.rep("\0\0\128\63", 262144)
LUA

load() { # ADDR PID SCRIPT CONNS PATH -> "req/s user_us system_us p50_us p99_us"
    local u0 s0 u1 s1 log=$work/wrk.log
    read -r u0 s0 < <(cpu "$2")
    wrk --latency -t"$(($4 < 2 ? 1 : 2))" -c"$4" -d"${each}s" ${3:+-s "$work/$3"} "http://$1$5" >"$log"
    read -r u1 s1 < <(cpu "$2")
    if grep -q 'Non-2xx\|Socket errors' "$log"; then cat "$log" "$work/tern.log" >&2; exit 1; fi
    awk -v u=$((u1 - u0)) -v s=$((s1 - s0)) -v hz="$hz" '
        function us(t) { return t ~ /us$/ ? t + 0 : t ~ /ms$/ ? t * 1000 : t * 1e6 }
        /^ +50%/ { p50 = us($2) } /^ +99%/ { p99 = us($2) }
        /requests in/ { n = $1 } /Requests\/sec/ { r = $2 }
        END { printf "%.0f %.3f %.3f %.1f %.1f\n", r, u / hz * 1e6 / n, s / hz * 1e6 / n, p50, p99 }' "$log"
}

pairs() { # NAME CONNS anchor: ADDR PID SCRIPT PATH, tern: ADDR PID SCRIPT PATH
    truncate -s 0 "$work/a" "$work/t" "$work/ratio"
    local a t
    for _ in $(seq "$rounds"); do
        a=$(load "$3" "$4" "$5" "$2" "$6")
        t=$(load "$7" "$8" "$9" "$2" "${10}")
        echo "$a" >>"$work/a"
        echo "$t" >>"$work/t"
        paste -d' ' <(echo "$a") <(echo "$t") | awk '{ printf "%.3f %.3f %.3f\n", $6 / $1, $9 / $4, $10 / $5 }' >>"$work/ratio"
    done
    col() { cut -d' ' -f"$2" "$work/$1" | median; }
    printf '%-26s %9s %9s %6s | %5s+%-5s %5s+%-5s | %7s %7s %6s %6s\n' "$1" "$(col a 1)" "$(col t 1)" \
        "$(col ratio 1)" "$(col a 2)" "$(col a 3)" "$(col t 2)" "$(col t 3)" "$(col a 4)" "$(col t 4)" \
        "$(col ratio 2)" "$(col ratio 3)"
}

start null_epoll "$(nproc)"; null=$ADDR null_pid=$PID
start recv_loop; recv=$ADDR recv_pid=$PID
start_tern examples/models; tern=$ADDR tern_pid=$PID
start_tern bench/models --loops 1; sink=$ADDR sink_pid=$PID

infer=/v2/models/iris/infer
echo "anchor: null_epoll (JSON, latency), recv_loop (1 MiB); medians of $rounds pairs of ${each} s"
printf '%-26s %9s %9s %6s | %-23s | %7s %7s %6s %6s\n' load anchor/s tern/s ratio \
    "CPU us: anchor, tern" p50 "p50 us" ratio p99
pairs "JSON infer, 64 conns" 64 "$null" "$null_pid" "" $infer "$tern" "$tern_pid" json.lua $infer
pairs "JSON infer, 1 conn" 1 "$null" "$null_pid" "" $infer "$tern" "$tern_pid" json.lua $infer
pairs "binary 1 MiB, 4 conns" 4 "$recv" "$recv_pid" binary.lua / "$sink" "$sink_pid" binary.lua \
    /v2/models/shape_of/infer

# Paced: requests leave on a schedule, below what either server could do. Needs h2load.
body='{"inputs":[{"name":"features","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}'
echo "$body" >"$work/body.json"
paced() { # URL [FLAG...] -> "p50 p99" in us
    rm -f "$work/paced"
    h2load --h1 -c16 -t1 --rps=2500 -D "$each" "${@:2}" --log-file="$work/paced" "$1" >/dev/null
    cut -f3 "$work/paced" | sort -n | awk '{ v[NR] = $1 } END { print v[int(NR * 0.5)], v[int(NR * 0.99)] }'
}
if command -v h2load >/dev/null; then
    : >"$work/latency"
    for _ in $(seq "$rounds"); do
        a=$(paced "http://$null/")
        t=$(paced "http://$tern$infer" -d "$work/body.json" -H content-type:application/json)
        echo "$a $t" | awk '{ print $1, $3, $3 / $1, $2, $4, $4 / $2 }' >>"$work/latency"
    done
    field() { cut -d' ' -f"$1" "$work/latency" | median; }
    printf 'paced at 40000/s: p50 %s us, tern %s us, ratio %.2f; p99 %s us, tern %s us, ratio %.2f\n' \
        "$(field 1)" "$(field 2)" "$(field 3)" "$(field 4)" "$(field 5)" "$(field 6)"
fi

echo
after=$(kib "$tern_pid")
for _ in $(seq "$rounds"); do
    t0=$(date +%s%N); start_tern examples/models; t1=$(date +%s%N)
    echo $(((t1 - t0) / 1000)) >>"$work/start"
    kib "$PID" >>"$work/rss"
    kill "$PID"; wait "$PID" 2>/dev/null || true
done
mkdir -p "$work/empty"
start_tern "$work/empty"; empty=$(kib "$PID")
printf 'start to READY, 5 models: %s us (median)\n' "$(median <"$work/start")"
printf 'memory, KiB: %s with no model, %s with 5 models, %s after the load above\n' "$empty" \
    "$(median <"$work/rss")" "$after"
python3 - "$ADDR" "$PID" <<'PY' 2>/dev/null || true
import socket, sys
host, port = sys.argv[1].split(":")
rss = lambda: int(next(l for l in open(f"/proc/{sys.argv[2]}/status") if l.startswith("VmRSS")).split()[1])
def ask(s):
    s.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: t\r\n\r\n"); s.recv(4096)
def many(n):
    out = []
    for _ in range(n):
        s = socket.create_connection((host, int(port))); ask(s); out.append(s)
    return out
keep = many(200); before = rss(); keep += many(800); after = rss()
print(f"an idle connection: {(after - before) * 1024 / 800:.0f} bytes")
PY
