"""The units of a stage's work: what is finished stays, what is missing is done.

Pretraining has a unit per (method, seed); what follows it one per (method, benchmark, seed).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multisk.params import Params
from multisk.resumable import Code, Unit, resumable_units
from multisk.side_by_side import side_by_side


def complete(
    out: Path,
    units: Mapping[str, Any],
    code: Code,
    params: Params,
    function: Callable[..., None],
    job: Callable[[str, Path], tuple[Any, ...]],
) -> None:
    """Do the units that an output lacks.

    units: identity by name, which is the unit's folder below `out`
    function: does one unit, or goes on with what its folder holds; it and its arguments must be picklable
    job: the arguments for a unit's name and folder
    """
    with resumable_units(out, [Unit(name, identity) for name, identity in units.items()], code) as folders:
        jobs = [job(name, folder) for name, folder in folders.items()]
        if jobs:
            side_by_side(function, jobs, params.processes)
