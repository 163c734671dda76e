#!/usr/bin/env python3
"""Trees: the native engine beside the library that trained the model, ONNX Runtime, tl2cgen and lleaves.

Trains the models once (build/bench/trees), then prints tables: microseconds a row for one row, a
hundred and ten thousand at a time, on one thread; and what loading costs. QUICK=1 takes the small
models only. The rows are made up as those of payments are: amounts with a long tail, counts, ratios, and
values that are missing.
"""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from peers import environment  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(os.environ.get("OUT", ROOT / "build/release"))
HERE = ROOT / "build/bench/trees"
QUICK = os.environ.get("QUICK") == "1"
FEATURES, ROWS = 30, 10000

# name, library, trees, depth or leaves
MODELS = [
    ("xgboost, 100 trees, depth 4", "xgboost", 100, 4),
    ("xgboost, 100 trees, depth 6", "xgboost", 100, 6),
    ("xgboost, 500 trees, depth 6", "xgboost", 500, 6),
    ("xgboost, 500 trees, depth 8", "xgboost", 500, 8),
    ("xgboost, 300 trees, depth 12", "xgboost", 300, 12),
    ("xgboost, 5000 trees, depth 6", "xgboost", 5000, 6),
    ("lightgbm, 100 trees, 31 leaves", "lightgbm", 100, 31),
    ("lightgbm, 500 trees, 31 leaves", "lightgbm", 500, 31),
    ("lightgbm, 500 trees, 63 leaves", "lightgbm", 500, 63),
    ("lightgbm, 500 trees, 255 leaves", "lightgbm", 500, 255),
    ("lightgbm, 2000 trees, 63 leaves", "lightgbm", 2000, 63),
    # exported to ONNX by skl2onnx, and run from there by both
    ("scikit-learn forest, 100 trees, depth 10", "forest", 100, 10),
    ("scikit-learn scaler and MLP 30-64-64-1", "mlp", 1, 1),
    ("scikit-learn scaler and ridge regression", "ridge", 1, 1),
]
QUICK_MODELS = {1, 2, 3, 6, 7, 9, 11, 12, 13}
LLEAVES_NODES_MAX = 60000  # beyond it LLVM takes minutes


def data(n, seed, missing=True):
    rng = np.random.default_rng(seed)
    x = np.empty((n, FEATURES), dtype=np.float32)
    for f in range(FEATURES):
        kind = f % 5
        if kind == 0:
            x[:, f] = rng.lognormal(3, 1.5, n)
        elif kind == 1:
            x[:, f] = rng.poisson(4, n)
        elif kind == 2:
            x[:, f] = rng.beta(0.5, 3, n)
        elif kind == 3:
            x[:, f] = rng.normal(0, 1, n)
        else:
            x[:, f] = rng.integers(0, 24, n)
    if missing:
        x[rng.random(x.shape) < 0.03] = np.nan
    filled = np.nan_to_num(x, nan=1.0)
    y = (np.log1p(filled[:, 0]) * filled[:, 3] + np.sin(filled[:, 4] / 4) + filled[:, 7] * 3
         + (filled[:, 6] > 5) * filled[:, 8] + filled[:, 13] * filled[:, 18] + rng.normal(0, 0.5, n))
    return x, y.astype(np.float32)


def onnx_type():
    from onnxmltools.convert.common.data_types import FloatTensorType
    return [("x", FloatTensorType([None, FEATURES]))]


def train_xgboost(folder, trees, depth):
    import xgboost
    x, y = data(20000, 1)
    model = xgboost.XGBRegressor(n_estimators=trees, max_depth=depth, learning_rate=0.1, n_jobs=2,
                                 tree_method="hist", base_score=0.5)
    model.fit(x, y)
    model.save_model(folder / "model.json")
    model.save_model(folder / "model.ubj")
    import onnxmltools
    onnx = onnxmltools.convert_xgboost(model, initial_types=onnx_type(), target_opset=15)
    (folder / "model.onnx").write_bytes(onnx.SerializeToString())
    import treelite
    return treelite.frontend.load_xgboost_model(folder / "model.ubj")


def train_lightgbm(folder, trees, leaves):
    import lightgbm
    x, y = data(20000, 1)
    model = lightgbm.LGBMRegressor(n_estimators=trees, num_leaves=leaves, learning_rate=0.1, n_jobs=2,
                                   verbose=-1)
    model.fit(x, y)
    model.booster_.save_model(folder / "model.txt")
    import onnxmltools
    onnx = onnxmltools.convert_lightgbm(model, initial_types=onnx_type(), target_opset=15,
                                        zipmap=False)
    (folder / "model.onnx").write_bytes(onnx.SerializeToString())
    import treelite
    return treelite.frontend.load_lightgbm_model(folder / "model.txt")


def train_sklearn(folder, kind, trees, depth):
    import skl2onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import Ridge
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    x, y = data(8000, 1, missing=False)
    model = {"forest": lambda: RandomForestRegressor(trees, max_depth=depth, n_jobs=2, random_state=1),
             "mlp": lambda: make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(64, 64), max_iter=30, random_state=1)),
             "ridge": lambda: make_pipeline(StandardScaler(), Ridge())}[kind]()
    model.fit(x, y)
    onnx = skl2onnx.to_onnx(model, initial_types=[("x", FloatTensorType([None, FEATURES]))], target_opset=15)
    (folder / "model.onnx").write_bytes(onnx.SerializeToString())


def compile_tl2cgen(folder, model):
    import tl2cgen
    tl2cgen.export_lib(model, toolchain="gcc", libpath=folder / "tl2cgen.so",
                       params={"parallel_comp": 16}, nthread=2, verbose=False)


def compile_lleaves(folder):
    # It needs an LLVM older than the one that shap's numba brings.
    python = environment("lleaves", ["lleaves", "llvmlite<0.44", "numpy<2.3", "lightgbm", "scikit-learn"])
    code = f"import lleaves; lleaves.Model(model_file='{folder}/model.txt').compile(cache='{folder}/lleaves.o')"
    subprocess.run([python, "-c", code], check=True, capture_output=True)
    subprocess.run(["gcc", "-shared", "-o", folder / "lleaves.so", folder / "lleaves.o", "-lm"],
                   check=True)


def attempt(what, function, *args):
    """A peer that does not install or takes this model for too large is left out, and said so."""
    try:
        function(*args)
    except Exception as error:  # noqa: BLE001: whatever a peer fails with
        print(f"  {what} is left out: {str(error).splitlines()[0][:120]}", file=sys.stderr)


def prepare(name, library, trees, size):
    folder = HERE / name.replace(", ", "-").replace(" ", "_")
    if (folder / "done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    print(f"training {name}", file=sys.stderr, flush=True)
    if library not in ("xgboost", "lightgbm"):
        train_sklearn(folder, library, trees, size)
        (folder / "done").touch()
        return folder
    train = train_xgboost if library == "xgboost" else train_lightgbm
    model = train(folder, trees, size)
    nodes = trees * (2 ** size if library == "xgboost" else size)
    (folder / "nodes").write_text(f"{nodes}\n")
    if nodes <= LLEAVES_NODES_MAX:
        attempt("tl2cgen", compile_tl2cgen, folder, model)
        if library == "lightgbm":
            attempt("lleaves", compile_lleaves, folder)
    (folder / "done").touch()
    return folder


def library_path(name):
    if name == "xgboost":
        import xgboost
        return Path(xgboost.__file__).parent / "lib/libxgboost.so"
    import lightgbm
    found = list(Path(lightgbm.__file__).parent.rglob("lib_lightgbm.so"))
    return found[0]


def subjects(folder, library):
    if library not in ("xgboost", "lightgbm"):
        return [f"tern={folder / 'model.onnx'}", f"ort={folder / 'model.onnx'}"]
    own = "model.ubj" if library == "xgboost" else "model.txt"
    rows = [f"{library}={library_path(library)}:{folder / own}", f"tern={folder / own}",
            f"ort={folder / 'model.onnx'}"]
    kinds = {"tl2cgen": "tl2cgen" if library == "xgboost" else "tl2cgen64", "lleaves": "lleaves"}
    rows += [f"{kind}={folder / peer}.so" for peer, kind in kinds.items()
             if (folder / f"{peer}.so").exists()]
    return rows


def bench(*args):
    # scikit-learn's exports know no missing values
    file = "rows.f32" if any(arg.startswith(("xgboost=", "lightgbm=")) for arg in args) else "whole_rows.f32"
    command = [OUT / "bench/trees_bench", "--rows", HERE / file, "--features", str(FEATURES), *args]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return {row["kind"]: row for row in map(json.loads, done.stdout.splitlines())}


def main():
    HERE.mkdir(parents=True, exist_ok=True)
    data(ROWS, 2)[0].tofile(HERE / "rows.f32")
    data(ROWS, 2, missing=False)[0].tofile(HERE / "whole_rows.f32")
    chosen = [m for i, m in enumerate(MODELS) if not QUICK or i in QUICK_MODELS]
    only = sys.argv[1:]
    chosen = [m for m in chosen if not only or any(word in m[0] for word in only)]
    speed, load = [], []
    for name, library, trees, size in chosen:
        folder = prepare(name, library, trees, size)
        rows = subjects(folder, library)
        found = bench(*rows)
        for i, batch in enumerate((1, 100, 10000)):
            tern = found["tern"]["ns"][i]
            cells = [f"{tern / 1000:.2f}"]
            for peer in ("own", "ort", "tl2cgen", "lleaves"):
                row = found.get(library if peer == "own" else peer) or found.get(f"{peer}64")
                cells.append(f"{row['ns'][i] / 1000:.2f} ({row['ns'][i] / tern:.1f})" if row else "-")
            speed.append([name if i == 0 else "", str(batch), *cells,
                          f"{found['tern']['difference']:.1g}" if i == 0 else ""])
        loads = {k: bench("--load", r)[k] for r in rows for k in [r.split("=")[0]] if k in (library, "tern", "ort")}
        t = loads["tern"]
        cells = [f"{t['load_ms']:.1f} ms, {t['load_mib']:.1f} MiB"]
        for peer in (library, "ort"):
            p = loads.get(peer)
            if p is None:
                cells.append("-")
                continue
            cells.append(f"{p['load_ms']:.0f} ms ({p['load_ms'] / t['load_ms']:.0f}), "
                         f"{p['load_mib']:.1f} MiB ({p['load_mib'] / max(t['load_mib'], 0.004):.0f})")
        load.append([name, *cells])
        print(f"  {name}: tern {found['tern']['ns']}", file=sys.stderr, flush=True)
    table(["model", "rows at a time", "tern, us a row", "its library", "ONNX Runtime", "tl2cgen", "lleaves",
           "difference"], speed)
    table(["model", "tern loads it in", "its library", "ONNX Runtime"], load)


def table(head, rows):
    print()
    print("| " + " | ".join(head) + " |")
    print("| " + " | ".join("---" for _ in head) + " |")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
