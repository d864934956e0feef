"""What a run was: commit, device, versions, command."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "torchaudio", "timm", "mlflow", "dvc", "numpy", "av", "librosa", "gensim")
PRODUCTS = ("dvc.lock", "reports")  # the pipeline itself writes these, so they do not make a tree dirty


def provenance() -> dict[str, Any]:
    """Return the facts that every run record carries."""
    return {
        "git_commit": _git("rev-parse", "HEAD") or None,
        "git_dirty": bool(source_changes()) if _git("rev-parse", "HEAD") else None,
        "device": device_name(),
        "versions": {"python": platform.python_version(), **_package_versions()},
        "command": shlex.join(["python", _relative(sys.argv[0]), *sys.argv[1:]]),
        "dvc_stage": os.environ.get("DVC_STAGE"),
        "dvc_experiment": os.environ.get("DVC_EXP_NAME"),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def source_changes() -> str:
    """Return git's list of changed and new files, without what the pipeline writes."""
    return _git("status", "--porcelain", "--", ".", *(f":(exclude){product}" for product in PRODUCTS))


def source_difference() -> str:
    """Return the uncommitted change of the sources as a patch."""
    return _git("diff", "HEAD", "--", ".", *(f":(exclude){product}" for product in PRODUCTS))


def device_name() -> str:
    """Return the GPU's name, or the processor's and the number of threads."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()} x{torch.cuda.device_count()}"
    return f"{_processor()}, {torch.get_num_threads()} threads"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "CPU")


def _package_versions() -> dict[str, str]:
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _relative(path: str) -> str:
    return os.path.relpath(path) if Path(path).is_absolute() else path
