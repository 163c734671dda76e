"""Clients in other languages and processes: what they are built with, and one test for each of their
checks. Such a program names its checks by `check("name", ...)` at the start of a line, and writes a
line of JSON for each that it ran: {"check": name, "error": null or what was wrong}."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from harness import TOP

CONFORMANCE = TOP / "tests" / "conformance"
BUILD = TOP / "build" / "conformance"


def names(path):
    """The checks of a program, from its source."""
    return re.findall(r'^\s*check\("([^"]+)"', (CONFORMANCE / path).read_text(), re.MULTILINE)


def run(command, **options):
    """What the checks of a program say: a dictionary of errors, None for what is well."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, **options)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"check":')]
    assert lines and done.returncode == 0, done.stdout + done.stderr
    return {line["check"]: line["error"] for line in lines}


def expect(results, name):
    if results[name] is not None:
        pytest.fail(results[name], pytrace=False)


def build(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr


def node(script):
    """The command that runs a script of js/, beside the packages of its lock file."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node or npm is not installed (scripts/install-packages --test)")
    folder, source = BUILD / "js", CONFORMANCE / "js"
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*.mjs"):
        shutil.copy(path, folder)
    lock = (source / "package-lock.json").read_text()
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != lock:
        shutil.copy(source / "package.json", folder)
        shutil.copy(source / "package-lock.json", folder)
        build(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder)
        stamp.write_text(lock)
    return ["node", folder / script]


def go(package):
    """A program of go/ or of the modules that its go.sum pins."""
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if found is None:
        pytest.skip("go is not installed (scripts/install-packages --test)")
    program = BUILD / (pathlib.Path(package).name or "conformance")
    BUILD.mkdir(parents=True, exist_ok=True)
    build([found, "build", "-mod=readonly", "-o", program, package], cwd=CONFORMANCE / "go", env={**os.environ, "CGO_ENABLED": "0"})
    return program
