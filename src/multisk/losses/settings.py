"""The paper's settings of the losses, for callers that have no params.yaml."""

from collections.abc import Mapping
from typing import Any, TypeVar

from multisk.params import Contrastive, Section, Sspc

AnySection = TypeVar("AnySection", bound=Section)


def contrastive_settings(given: Contrastive | Mapping[str, Any]) -> Contrastive:
    """Return checked settings; what a plain mapping leaves out has the paper's value."""
    paper = {
        "temperature": 0.05,
        "alpha": 1.0,
        "weights": {"t_v": 1.0, "t_a": 0.1, "v_a": 0.1, "t_va": 0.1, "v_ta": 0.1, "a_tv": 0.1},
    }
    return _checked(Contrastive, paper, given)


def sspc_settings(given: Sspc | Mapping[str, Any]) -> Sspc:
    """Return checked settings; what a plain mapping leaves out has the paper's value."""
    weights = {
        "t": {"t": 1.0, "v": 1.0, "a": 0.1},
        "v": {"t": 1.0, "v": 1.0, "a": 0.1},
        "a": {"t": 0.1, "v": 0.1, "a": 0.1},
    }
    paper = {
        "anchors": {"count": 64},
        "queue": 5500,
        "temperature": 0.1,
        "beta": 1.0,
        "input_to_joint": weights,
        "joint_to_input": weights,
        "sinkhorn": {"fraction": 0.5, "epsilon": 0.07, "iterations": 20, "slots": "constant"},
    }
    return _checked(Sspc, paper, given)


def _checked(
    section: type[AnySection], paper: Mapping[str, Any], given: AnySection | Mapping[str, Any]
) -> AnySection:
    return given if isinstance(given, section) else section.model_validate(_merged(paper, dict(given)))


def _merged(paper: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    nested = {
        key: _merged(paper[key], value)
        for key, value in given.items()
        if isinstance(value, Mapping) and isinstance(paper.get(key), Mapping)
    }
    return {**paper, **given, **nested}
