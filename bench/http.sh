#!/usr/bin/env bash
# HTTP/1.1: our stack (http_const) against the null epoll server, in pairs ABAB on the same machine at
# the same time of day. Prints, for each load, the median ratio of requests a second and the user and
# system CPU microseconds a request of both. OUT: build folder; SECONDS_EACH, ROUNDS, CONNS: the load.
set -eu
each=${SECONDS_EACH:-2}
conns=${CONNS:-64}
loops=${LOOPS:-$(nproc)}
# shellcheck source=bench/lib.sh
. "$(dirname "$0")/lib.sh"
need wrk wrk

cat >"$work/pipeline.lua" <<'LUA'
init = function(args)
    local r = {}
    for i = 1, 16 do r[i] = wrk.format("GET", "/") end
    req = table.concat(r)
end
request = function() return req end
LUA
printf 'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [[%s]]\n' \
    '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}' >"$work/post.lua"

load() { # ADDR PID SCRIPT -> "req/s user_us system_us"
    local u0 s0 u1 s1 log=$work/wrk.log
    read -r u0 s0 < <(cpu "$2")
    wrk -t2 -c"$conns" -d"${each}s" ${3:+-s "$work/$3"} "http://$1/v2/models/iris/infer" >"$log"
    read -r u1 s1 < <(cpu "$2")
    if grep -q 'Non-2xx\|Socket errors' "$log"; then cat "$log" >&2; exit 1; fi
    awk -v u=$((u1 - u0)) -v s=$((s1 - s0)) -v hz="$hz" '
        /requests in/ { n = $1 } /Requests\/sec/ { r = $2 }
        END { printf "%.0f %.3f %.3f\n", r, u / hz * 1e6 / n, s / hz * 1e6 / n }' "$log"
}

start null_epoll "$loops"; null_addr=$ADDR null_pid=$PID
start http_const "$loops"; tern_addr=$ADDR tern_pid=$PID
printf '%-22s %10s %10s %7s %7s | %s\n' load null/s tern/s ratio "min-max" "CPU us/request user+sys: null, tern"
for name in get post.lua pipeline.lua; do
    script=$name
    [ "$name" = get ] && script=
    # The null server does not read bodies: its post is a get of its own kind, only heads count.
    null_script=$script
    [ "$name" = post.lua ] && null_script=
    truncate -s 0 "$work/null" "$work/tern" "$work/ratio"
    for _ in $(seq "$rounds"); do
        n=$(load "$null_addr" "$null_pid" "$null_script")
        t=$(load "$tern_addr" "$tern_pid" "$script")
        echo "$n" >>"$work/null"
        echo "$t" >>"$work/tern"
        awk -v n="${n%% *}" -v t="${t%% *}" 'BEGIN { printf "%.3f\n", t / n }' >>"$work/ratio"
    done
    column() { cut -d' ' -f"$2" "$work/$1" | median; }
    printf '%-22s %10s %10s %7s %s | %s+%s, %s+%s\n' "${name%.lua} c=$conns" \
        "$(column null 1)" "$(column tern 1)" "$(median <"$work/ratio")" \
        "$(sort -n "$work/ratio" | sed -n '1p;$p' | paste -sd-)" \
        "$(column null 2)" "$(column null 3)" "$(column tern 2)" "$(column tern 3)"
done
