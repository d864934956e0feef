"""Data stages: resumable work with a run record of its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from multisk.layout import Layout
from multisk.params import Params
from multisk.pipeline.declared import stage_code
from multisk.resumable import resumable
from multisk.tracking import Run


@contextmanager
def recorded(
    params: Params, layout: Layout, stage: str, settings: Mapping[str, Any], dataset_digest: str, out: Path
) -> Iterator[Path]:
    """Give a folder to work in, which becomes `out`; its record goes to runs/<stage>/<out's name>."""
    identity = {"dataset": dataset_digest, **settings}
    code = stage_code(stage, params.changed_code)
    record_folder = layout.runs / stage / out.name
    with resumable(out, identity, code) as folder, resumable(record_folder, identity, code) as record:
        run = Run(
            record,
            params.tracking,
            stage=stage,
            corpus=out.name,
            profile=params.profile,
            params=settings,
            dataset_digest=dataset_digest,
            code=code.digest,
        )
        with run:
            yield folder
