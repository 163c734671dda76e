"""Servers and compilers that the benches run beside Tern: each in a virtual environment of its own, from
PyPI, in build/peers or where TERN_PEERS says."""
import os
import subprocess
import sys
from pathlib import Path

PEERS = Path(os.environ.get("TERN_PEERS", Path(__file__).resolve().parent.parent / "build/peers"))


def environment(name, packages):
    python = PEERS / name / "bin/python"
    if not python.exists():
        print(f"installing {name} into {PEERS / name}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", PEERS / name], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    return python
