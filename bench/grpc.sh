#!/usr/bin/env bash
# gRPC: Tern beside a null nghttp2 server, its own network stack with a constant (http_const), and
# grpc-core's C++ server with the same service; one after the other in turns on the same machine at
# the same time of day. Prints, for each load, the median calls a second, the ratio of Tern to both
# anchors, and the CPU microseconds a call. OUT: build folder; REQUESTS, ROUNDS, LOOPS: the load.
set -eu
requests=${REQUESTS:-100000}
loops=${LOOPS:-1}
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
need h2load nghttp2-client
need python3 python3

# The messages, each behind gRPC's prefix, and two models that only exist for them: identity, and
# one that counts what came when ONNX Runtime is there.
python3 - "$work" <<'PY'
import pathlib, struct, sys
work = pathlib.Path(sys.argv[1])
def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128]); n >>= 7
    return out + bytes([n])
def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data
def infer(model, name, n):
    tensor = field(1, name) + field(2, b"FP32") + field(3, varint(n))
    return field(1, model) + field(5, tensor) + field(7, struct.pack("<f", 1.5) * n)
def message(name, body):
    (work / name).write_bytes(b"\0" + struct.pack(">I", len(body)) + body)
message("live", b"")
message("infer", infer(b"identity", b"INPUT0", 4))
message("large", infer(b"shape_of", b"x", 1 << 18))
folder = work / "models" / "identity"
(folder / "1").mkdir(parents=True)
(folder / "config.pbtxt").write_text('''name: "identity" backend: "identity"
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] }]
''')
PY
if [ -n "${TERN_ONNXRUNTIME:-}" ]; then
    mkdir -p "$work/models/shape_of/1"
    cp bench/models/shape_of.onnx "$work/models/shape_of/1/model.onnx"
fi

start_tern() { # -> ADDR, PID
    "$out/tern" serve "$work/models" --listen 127.0.0.1:0 --no-supervise --no-log-access \
        --log-level error --loops "$loops" --http-requests-per-connection 1000000000 \
        --ready-file "$work/ready" 2>"$work/tern.log" &
    PID=$!
    pids+=("$PID")
    until [ -s "$work/ready" ]; do kill -0 "$PID"; sleep 0.002; done
    ADDR=$(sed -n 's|^http://||p' "$work/ready")
}

ticks() { cpu "$1" | awk '{ print $1 + $2 }'; } # user and system
service=/inference.GRPCInferenceService
grpc=(-H "content-type: application/grpc" -H "te: trailers")

# h2load looks at no trailers: once before, each server must have answered well.
check() { # ADDR METHOD MESSAGE
    nghttp -v "${grpc[@]}" -d "$work/$3" "http://$1$service/$2" >"$work/nghttp.log" 2>&1
    grep -q 'grpc-status: 0' "$work/nghttp.log"
}

load() { # ADDR PID METHOD MESSAGE CALLS H2LOAD-OPTIONS... -> "calls/s cpu_us"
    local addr=$1 pid=$2 n=$5 c0 c1 log=$work/h2load.log
    c0=$(ticks "$pid")
    h2load -n "$n" "${grpc[@]}" -d "$work/$4" "${@:6}" "http://$addr$service/$3" >"$log"
    c1=$(ticks "$pid")
    grep -q "$n succeeded" "$log" || { cat "$log" >&2; exit 1; }
    awk -v c=$((c1 - c0)) -v hz="$hz" -v n="$n" '/^finished in/ { printf "%.0f %.2f\n", $4, c / hz * 1e6 / n }' "$log"
}

names=(null stack tern)
failed=0
declare -A addr pid
start null_h2 "$loops" grpc; addr[null]=$ADDR pid[null]=$PID
start http_const "$loops"; addr[stack]=$ADDR pid[stack]=$PID
start_tern; addr[tern]=$ADDR pid[tern]=$PID
if [ -x "$out/bench/grpc_core_echo" ]; then
    start grpc_core_echo "$loops"; addr[core]=$ADDR pid[core]=$PID
    names+=(core)
else
    echo "grpc-core is left out: it needs libgrpc++-dev and protobuf-compiler-grpc"
fi

compare() { # NAME METHOD MESSAGE CALLS H2LOAD-OPTIONS...
    local name
    for name in "${names[@]}"; do
        if ! check "${addr[$name]}" "$2" "$3"; then
            echo "$1: left out, $name does not answer with grpc-status 0" >&2
            failed=1
            return
        fi
        : >"$work/$name"
    done
    for _ in $(seq "$rounds"); do
        for name in "${names[@]}"; do
            load "${addr[$name]}" "${pid[$name]}" "${@:2}" >>"$work/$name"
        done
    done
    ratio() { # NAME: of Tern to it, round by round
        paste -d' ' "$work/tern" "$work/$1" | awk '{ printf "%.2f\n", $1 / $3 }' | median
    }
    printf '%-30s' "$1"
    for name in "${names[@]}"; do printf ' %8s' "$(cut -d' ' -f1 "$work/$name" | median)"; done
    printf ' |'
    for name in "${names[@]}"; do [ "$name" = tern ] || printf ' %6s' "$(ratio "$name")"; done
    printf ' |'
    for name in "${names[@]}"; do printf ' %7s' "$(cut -d' ' -f2 "$work/$name" | median)"; done
    echo
}

echo "calls/s of ${names[*]} | Tern to each other one | CPU us a call of each; medians of $rounds"
for streams in 1 16 100; do
    compare "ServerLive 8 x $streams streams" ServerLive live "$requests" -c8 -m"$streams"
done
for streams in 1 16 100; do
    compare "ModelInfer 8 x $streams streams" ModelInfer infer "$requests" -c8 -m"$streams"
done
if [ -n "${TERN_ONNXRUNTIME:-}" ]; then
    # A window that lets a message leave at once: the client is not what is measured.
    compare "ModelInfer 1 MiB, 4 x 1" ModelInfer large $((requests / 50)) -c4 -m1
    compare "ModelInfer 1 MiB, 4 x 4" ModelInfer large $((requests / 50)) -c4 -m4
else
    echo "1 MiB tensors are left out: they need ONNX Runtime (scripts/get-onnxruntime)"
fi
exit "$failed"
