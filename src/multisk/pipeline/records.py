"""Data stages: resumable work with a run record in the output itself."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from multisk.layout import Layout
from multisk.params import Params
from multisk.resumable import code_digest, resumable
from multisk.tracking import Run


@contextmanager
def recorded(
    params: Params,
    layout: Layout,
    stage: str,
    settings: Mapping[str, Any],
    dataset_digest: str,
    out: Path,
    *code: str,
) -> Iterator[Path]:
    """Give a folder to work in, which becomes `out`; its record goes to runs/<stage>/<out's name>.

    code: the modules that do the work, see `code_digest`
    """
    identity = {"dataset": dataset_digest, "code": code_digest(*code), **settings}
    with resumable(out, identity) as folder, resumable(layout.runs / stage / out.name, identity) as record:
        run = Run(
            record,
            params.tracking,
            stage=stage,
            corpus=out.name,
            profile=params.profile,
            params=settings,
            dataset_digest=dataset_digest,
        )
        with run:
            yield folder
