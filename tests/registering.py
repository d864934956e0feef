"""Registering the videos of a benchmark, with the roles of its files as arguments."""

from pathlib import Path

from multisk.benchmarks.register import register_benchmark
from multisk.corpora.registered import Registered


def register_msrvtt(videos: Path, folder: Path, **files: Path) -> Registered:
    return _register("msrvtt", videos, folder, files)


def register_youcook2(videos: Path, folder: Path, **files: Path) -> Registered:
    return _register("youcook2", videos, folder, files)


def _register(name: str, videos: Path, folder: Path, files: dict[str, Path]) -> Registered:
    return register_benchmark(
        name, videos, folder, {role.replace("_", "-"): path for role, path in files.items()}
    )
