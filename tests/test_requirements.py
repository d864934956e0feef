"""requirements.txt is what requirements.in was compiled into."""

import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def test_every_requirement_is_pinned_with_its_version():
    pins = dict(re.findall(r"^([\w.-]+)==(\S+) \\$", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    lines = (ROOT / "requirements.in").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert requirements
    stale = [
        str(wanted)
        for wanted in requirements
        if not wanted.specifier.contains(pins.get(canonicalize_name(wanted.name), "0"))
        or canonicalize_name(wanted.name) not in pins
    ]
    assert stale == [], "run: make requirements"
