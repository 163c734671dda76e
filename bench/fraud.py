#!/usr/bin/env python3
"""A fraud-style model end to end: Tern beside FastAPI + XGBoost and MLServer + XGBoost.

The same file (XGBoost, 300 trees of depth 6, 30 features) is served by each; `wrk` and `h2load` ask for one
row a request with 16 connections, and every server's first answer is compared with the library's. Each
peer has a worker for each processor, as its guide says.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from peers import environment  # noqa: E402
from trees import FEATURES, data  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(os.environ.get("OUT", ROOT / "build/release"))
HERE = ROOT / "build/bench/fraud"
SECONDS = int(os.environ.get("SECONDS_EACH", "5"))
CORES = os.cpu_count()

FASTAPI = '''
import numpy as np, xgboost
from fastapi import FastAPI
from pydantic import BaseModel
booster = xgboost.Booster(model_file="model.ubj")
booster.set_param({"nthread": 1})
app = FastAPI()
class Rows(BaseModel):
    instances: list[list[float]]
@app.post("/predict")
def predict(rows: Rows):
    return {"predictions": booster.inplace_predict(np.asarray(rows.instances, dtype=np.float32)).tolist()}
'''


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def train():
    import xgboost
    HERE.mkdir(parents=True, exist_ok=True)
    if not (HERE / "model.ubj").exists():
        x, y = data(30000, 3, missing=False)
        fraud = (y > np.quantile(y, 0.97)).astype(int)
        model = xgboost.XGBClassifier(n_estimators=300, max_depth=6, learning_rate=0.05, n_jobs=CORES)
        model.fit(x, fraud)
        model.save_model(HERE / "model.ubj")
    rows = data(200, 4, missing=False)[0]
    booster = xgboost.Booster(model_file=HERE / "model.ubj")
    return rows, booster.inplace_predict(rows)


def start_tern():
    http = port()
    repository = HERE / "tern/fraud/1"
    repository.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "model.ubj", repository)
    process = subprocess.Popen([OUT / "tern", "serve", HERE / "tern", "--listen", f"127.0.0.1:{http}",
                                "--no-log-access", "--log-level", "error",
                                "--http-requests-per-connection", "1000000000"])
    return process, http, "/v2/models/fraud/infer", v2, http


def start_fastapi():
    python = environment("fastapi", ["fastapi", "uvicorn[standard]", "xgboost", "numpy"])
    http = port()
    (HERE / "app.py").write_text(FASTAPI)
    process = subprocess.Popen([python, "-m", "uvicorn", "app:app", "--port", str(http), "--workers", str(CORES),
                                "--log-level", "error", "--no-access-log"], cwd=HERE)
    return process, http, "/predict", v1, None


def start_mlserver():
    python = environment("mlserver", ["mlserver", "mlserver-xgboost", "uvloop<0.22"])
    http, grpc = port(), port()
    folder = HERE / "mlserver"
    folder.mkdir(exist_ok=True)
    shutil.copy(HERE / "model.ubj", folder / "model.ubj")
    (folder / "model-settings.json").write_text(json.dumps(
        {"name": "fraud", "implementation": "mlserver_xgboost.XGBoostModel", "parameters": {"uri": "./model.ubj"}}))
    (folder / "settings.json").write_text(json.dumps(
        {"http_port": http, "grpc_port": grpc, "metrics_port": port(), "parallel_workers": CORES, "debug": False,
         "logging_settings": None}))
    log = open(HERE / "mlserver.log", "w")
    process = subprocess.Popen([python.parent / "mlserver", "start", "."], cwd=folder, stdout=log, stderr=log)
    return process, http, "/v2/models/fraud/infer", v2, grpc


def v1(row):
    return json.dumps({"instances": [row.tolist()]})


def v2(row):
    return json.dumps({"inputs": [{"name": "input__0", "datatype": "FP32", "shape": [1, FEATURES],
                                   "data": row.tolist()}]})


def ask(http, path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{http}{path}", body.encode(),
                                     {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=5))


def wait(http, path, body):
    for _ in range(600):
        try:
            return ask(http, path, body)
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server does not answer")


def score(answer):
    if "predictions" in answer:
        return answer["predictions"][0]
    return answer["outputs"][0]["data"][0]


def microseconds(text):
    value, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(value) * {"us": 1, "ms": 1000, "s": 1e6}[unit]


def wrk(http, path, bodies, connections):
    """A different row each time: a processor learns one by heart."""
    script = HERE / "wrk.lua"
    texts = ",\n".join(f"[==[{body}]==]" for body in bodies)
    script.write_text(f"local bodies = {{ {texts} }}\nlocal at = 0\nwrk.method = 'POST'\n"
                      "wrk.headers['Content-Type'] = 'application/json'\n"
                      "request = function() at = at % #bodies + 1; return wrk.format(nil, nil, nil, bodies[at]) end\n")
    out = subprocess.run(["wrk", "--latency", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", script,
                          f"http://127.0.0.1:{http}{path}"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        raise RuntimeError(out)
    find = lambda name: re.search(rf"{name}\s+(\S+)", out).group(1)  # noqa: E731
    return float(find("Requests/sec:")), microseconds(find("50%")), microseconds(find("99%"))


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, data_):
    return varint(number << 3 | 2) + varint(len(data_)) + data_


def grpc_message(row):
    """inference.ModelInferRequest with raw contents, and gRPC's prefix."""
    tensor = field(1, b"input__0") + field(2, b"FP32") + field(3, varint(1) + varint(FEATURES))
    message = field(1, b"fraud") + field(5, tensor) + field(7, row.astype("<f4").tobytes())
    return b"\0" + len(message).to_bytes(4, "big") + message


def h2load(grpc, row, connections):
    body = HERE / "grpc.bin"
    body.write_bytes(grpc_message(row))
    out = subprocess.run(["h2load", f"-c{connections}", "-m4", "-t1", f"-D{SECONDS}", "--warm-up-time=1", "-d", body,
                          "-H", "content-type: application/grpc", "-H", "te: trailers",
                          f"http://127.0.0.1:{grpc}/inference.GRPCInferenceService/ModelInfer"],
                         capture_output=True, text=True, check=True).stdout
    done = re.search(r"requests: .* (\d+) succeeded, (\d+) failed", out)
    if int(done.group(2)) > 0 or int(done.group(1)) == 0:
        raise RuntimeError(out)
    return float(re.search(r"finished in \S+, ([\d.]+) req/s", out).group(1))


def memory(process):
    """Of it and its children, in MiB."""
    pids, total = [process.pid], 0
    while pids:
        pid = pids.pop()
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
            pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except OSError:
            pass
    return total / 1048576


def stop(process):
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def measure(name, start, rows, expected):
    process, http, path, write, grpc = start()
    try:
        bodies = [write(row) for row in rows]
        answer = score(wait(http, path, bodies[0]))
        difference = max(abs(score(ask(http, path, b)) - e) for b, e in zip(bodies[:50], expected))
        print(f"{name}: {answer:.6f}, differs by {difference:.2g}", file=sys.stderr)
        many, one = wrk(http, path, bodies, 16), wrk(http, path, bodies, 1)
        rpc = h2load(grpc, rows[0], 16) if grpc else None
        return many, one, rpc, memory(process), difference
    finally:
        stop(process)


def main():
    rows, expected = train()
    found = {}
    for name, start in (("Tern", start_tern), ("FastAPI + XGBoost", start_fastapi),
                        ("MLServer + XGBoost", start_mlserver)):
        try:
            found[name] = measure(name, start, rows, expected)
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    print("\n| server | HTTP req/s, 16 connections | p50 / p99 us | one connection p50 us | gRPC req/s, 16 x 4 |"
          " memory MiB | difference |\n| --- | --- | --- | --- | --- | --- | --- |")
    base = found["Tern"]
    for name, (many, one, rpc, mib, difference) in found.items():
        ratio = "" if name == "Tern" else f" ({base[0][0] / many[0]:.0f} times fewer)"
        calls = f"{rpc:.0f}" if rpc else "-"
        print(f"| {name} | {many[0]:.0f}{ratio} | {many[1]:.0f} / {many[2]:.0f} | {one[1]:.0f} | {calls} |"
              f" {mib:.0f} | {difference:.2g} |")


if __name__ == "__main__":
    main()
