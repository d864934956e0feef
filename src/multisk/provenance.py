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

from multisk.files import file_digest

PACKAGES = ("torch", "torchvision", "torchaudio", "timm", "mlflow", "dvc", "numpy", "av", "librosa", "gensim")
PRODUCTS = ("dvc.lock", "reports")  # the pipeline itself writes these, so they do not make a tree dirty
LARGE = 1_000_000


def provenance() -> dict[str, Any]:
    """Return the facts that every run record carries."""
    return {
        "git_commit": _git("rev-parse", "HEAD") or None,
        "git_dirty": bool(source_changes()) if _git("rev-parse", "HEAD") else None,
        "device": device_name(),
        "threads": _threads(),
        "requirements_digest": _digest_of(Path("requirements.txt")),
        "versions": {"python": platform.python_version(), **_package_versions()},
        "command": _command(),
        "dvc_stage": os.environ.get("DVC_STAGE"),
        "dvc_experiment": os.environ.get("DVC_EXP_NAME"),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def source_changes() -> str:
    """Return git's list of changed and new files, without what the pipeline writes."""
    return _git("status", "--porcelain", "--", ".", *(f":(exclude){product}" for product in PRODUCTS))


def source_difference() -> str:
    """Return the uncommitted change of the sources, new files included, as a patch for `git apply`.

    A new file of more than LARGE bytes is data rather than source, and is left out.
    """
    excluded = [f":(exclude){product}" for product in PRODUCTS]
    changed = _output("diff", "--binary", "HEAD", "--", ".", *excluded)
    new = _output("ls-files", "-z", "--others", "--exclude-standard", "--", ".", *excluded).split("\0")
    small = [name for name in new if name and Path(name).stat().st_size <= LARGE]
    return changed + "".join(_output("diff", "--binary", "--no-index", "/dev/null", name) for name in small)


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


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _digest_of(path: Path) -> str | None:
    return file_digest(path) if path.exists() else None


def _git(*arguments: str) -> str:
    return _output(*arguments).strip()


def _output(*arguments: str) -> str:
    """Return what a git command says; nothing, outside of git."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    differs = "--no-index" in arguments and done.returncode == 1
    return done.stdout if done.returncode == 0 or differs else ""


def _command() -> str:
    """Return what a person types to run this program again."""
    program, arguments = Path(sys.argv[0]), sys.argv[1:]
    if program.name == "multisk" or program.parts[-2:] == ("multisk", "__main__.py"):
        return shlex.join(["multisk", *arguments])
    script = os.path.relpath(program) if program.is_absolute() else str(program)
    return shlex.join(["python", script, *arguments])
