"""What a run takes of the machine: samples in `system.jsonl`, and the peaks of memory.

Samples carry MLflow's own names, so that its page "System metrics" shows them. A megabyte is 10^6 bytes.
MLflow's own monitor sends each sample to a tracker, which has to be up meanwhile, and knows no peaks.
"""

import json
import os
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

LOOK_SECONDS = 0.2  # between two looks at the memory, for its peak
ROW_SECONDS = 5.0  # between two lines of system.jsonl


class Monitor:
    """Watches this process from a thread of its own, between `start` and `stop`.

    A look takes some ten microseconds, and no lock that training needs for longer. Processes that this one
    starts are not counted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.peaks: dict[str, float] = {}
        self._stopped = Event()
        self._thread = Thread(target=self._watch, daemon=True, name="monitor")

    def start(self) -> None:
        """Begin; what CUDA remembers as its peak begins anew, too."""
        import psutil

        self._process = psutil.Process(os.getpid())
        self._process.cpu_percent()  # the first call only starts the clock
        for device in _devices():
            _cuda().reset_peak_memory_stats(device)
        self._thread.start()

    def stop(self) -> None:
        """End, with a last look and a last line; nothing, if it was not started."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        row, written = _whole_lines(self.path), time.monotonic()
        with self.path.open("a", buffering=1) as file:
            ended = False
            while not ended:
                ended = self._stopped.wait(LOOK_SECONDS)
                self._look()
                if ended or time.monotonic() - written >= ROW_SECONDS:
                    file.write(json.dumps({"step": row, "time": round(time.time(), 3), **self._row()}) + "\n")
                    row, written = row + 1, time.monotonic()

    def _look(self) -> None:
        self._keep_peak("peak_mb", self._process.memory_info().rss / 1e6)
        for device in _devices():
            self._keep_peak("peak_gpu_mb", _cuda().max_memory_allocated(device) / 1e6)

    def _keep_peak(self, name: str, value: float) -> None:
        self.peaks[name] = max(self.peaks.get(name, 0.0), round(value, 1))

    def _row(self) -> dict[str, float]:
        import psutil

        memory = psutil.virtual_memory()
        row = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "process_cpu_utilization_percentage": self._process.cpu_percent(),  # 100: one core
            "system_memory_usage_megabytes": round(memory.used / 1e6, 1),
            "process_memory_usage_megabytes": round(self._process.memory_info().rss / 1e6, 1),
        }
        for device in _devices():
            allocated = _cuda().memory_allocated(device) / 1e6
            row[f"process_gpu_{device}_memory_usage_megabytes"] = round(allocated, 1)
        return row


def _devices() -> range:
    """Return the GPUs, once this process uses CUDA; to look must not be what starts it."""
    return range(_cuda().device_count()) if "torch" in sys.modules and _cuda().is_initialized() else range(0)


def _cuda() -> Any:
    return sys.modules["torch"].cuda


def _whole_lines(path: Path) -> int:
    """Return how many lines a file has, after ending one that a kill cut short."""
    content = path.read_bytes() if path.exists() else b""
    if content and not content.endswith(b"\n"):
        path.write_bytes(content + b"\n")
    return len(content.splitlines())
