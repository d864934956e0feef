"""Profiles: put together from a base and small files, and written as plain YAML."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from multisk.errors import InputError
from multisk.params.profiles import (
    as_yaml,
    compose,
    composed_text,
    differences,
    load_profile,
    profile_names,
    use,
)

PROFILES = Path(__file__).parents[1] / "profiles"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base and two profiles, one on top of the other."""
    files = {
        "base": "a: 1\nb:\n  c: ???\n  d: ${a}\n  e: [1, 2, 3]\n",
        "first": "b: {c: 2}\n",
        "second": "base: first\nwithout: [b.e]\na: 5\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def test_a_profile_says_only_what_differs(folder: Path) -> None:
    assert compose("first", folder) == {"profile": "first", "a": 1, "b": {"c": 2, "d": 1, "e": [1, 2, 3]}}


def test_a_profile_starts_from_another_one_and_leaves_out(folder: Path) -> None:
    assert compose("second", folder) == {"profile": "second", "a": 5, "b": {"c": 2, "d": 5}}
    assert profile_names(folder) == ["first", "second"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 2", "mine.yaml: b.c: Missing mandatory value"),
        ("b:\n  c: ${nothing}", "mine.yaml: b.c: Interpolation key 'nothing' not found"),
        ("base: mine", "mine.yaml: base: mine <- mine; start from another one"),
        ("base: ../first", "first.yaml: no such profile; there are: first, mine, second"),
        ("base: first\nwithout: [b.x.y]", "mine.yaml: without: b.x.y: no such key"),
        ("- 1", "mine.yaml: expected keys with values, found list"),
    ],
)
def test_a_profile_that_cannot_be_composed_is_named_in_one_line(
    folder: Path, text: str, message: str
) -> None:
    (folder / "mine.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        compose("mine", folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../x", "base", "nothing", ""])
def test_only_profiles_are_used(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.yaml").write_text("a: 1")
    with pytest.raises(InputError, match="no such profile; there are: miniature, paper, smoke"):
        use(name, tmp_path / "params.yaml", PROFILES)
    assert not (tmp_path / "params.yaml").exists()


def test_a_misspelt_key_of_a_profile_is_named(tmp_path: Path) -> None:
    for name in ("base", "miniature"):
        (tmp_path / f"{name}.yaml").write_text((PROFILES / f"{name}.yaml").read_text())
    (tmp_path / "mine.yaml").write_text("base: miniature\npretrain: {epoch: 1}")
    with pytest.raises(InputError, match=r"mine\.yaml: pretrain\.epoch: unknown key, did you mean epochs\?"):
        load_profile("mine", tmp_path)


@pytest.mark.parametrize("name", profile_names(PROFILES))
def test_readers_of_both_versions_of_yaml_find_the_same(name: str) -> None:
    text = composed_text(name, PROFILES)
    assert yaml.safe_load(text) == YAML(typ="safe").load(text) == compose(name, PROFILES)
    assert not {"&", "*", "${", "???"} & set(text.split())
    assert [line for line in text.splitlines() if "#" in line] == text.splitlines()[:1]


@pytest.mark.parametrize("value", [1e-5, 1e30, "no", "on", "1", None, True, [[1, 2], {"a": 1e-7}], {}])
def test_every_value_is_read_as_it_was_written(value: Any) -> None:
    text = as_yaml({"key": value})
    assert yaml.safe_load(text) == YAML(typ="safe").load(text) == {"key": value}


def test_what_differs_is_told_by_key(folder: Path, tmp_path: Path) -> None:
    params = tmp_path / "params.txt"
    params.write_text("profile: first\na: 1.5\nb: {c: 2, d: null, f: 1}\n")
    assert differences("first", params, folder) == [
        "a: 1 -> 1.5",
        "b.d: 1 -> null",
        "b.e: left out",
        "b.f: added",
    ]
    assert differences("mine", params, folder) == [f"profile: mine is none of {folder}/"]
