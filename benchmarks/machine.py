"""The machine and the versions a figure was measured with."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent


def describe(*packages: str) -> dict[str, Any]:
    """CPU, cores, memory, load, Python, the project's commit, and the versions of `packages`."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "cpu": cpu,
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "load_1min": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or None,
        **{name: version(name) for name in packages},
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def environment_versions(python: Path, *packages: str) -> dict[str, str]:
    """The versions of `packages` in another environment."""
    program = f"from importlib.metadata import version; print(*[version(x) for x in {packages!r}], sep='\\n')"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    return dict(zip(packages, done.stdout.split(), strict=True))
