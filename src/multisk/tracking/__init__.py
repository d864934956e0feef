"""Files first, MLflow as their mirror.

A run is a folder: `run.json` says what it was, `steps.jsonl` holds one JSON object per step, and
`metrics.json` its final numbers. The mirror copies them to MLflow while the run goes on. If the tracker
is down, the run goes on without it and `multisk sync` mirrors it later.
"""

from multisk.tracking.files import METRICS, PATCH, RECORD, STEPS, flatten, metric_name, read_steps
from multisk.tracking.mirror import Mirror, tracking_uri
from multisk.tracking.run import Run

__all__ = [
    "METRICS",
    "PATCH",
    "RECORD",
    "STEPS",
    "Mirror",
    "Run",
    "flatten",
    "metric_name",
    "read_steps",
    "tracking_uri",
]
