import subprocess

import pytest
import torch

from multisk.files import file_digest
from multisk.provenance import provenance, source_difference


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one commit, as current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code.py").write_text("one\n")
    (tmp_path / "dvc.lock").write_text("one\n")
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Begin"],
    ):
        subprocess.run(["git", *command], check=True)
    return tmp_path


def test_a_clean_checkout_is_not_dirty(checkout):
    found = provenance()
    assert len(found["git_commit"]) == 40
    assert found["git_dirty"] is False


def test_what_the_pipeline_writes_makes_nothing_dirty(checkout):
    (checkout / "dvc.lock").write_text("two\n")
    (checkout / "reports").mkdir()
    (checkout / "reports" / "index.html").write_text("page")
    assert provenance()["git_dirty"] is False


def test_a_changed_source_is_dirty_and_its_change_is_kept(checkout):
    (checkout / "code.py").write_text("two\n")
    assert provenance()["git_dirty"] is True
    assert "+two" in source_difference()


def test_the_patch_makes_the_same_tree_of_the_commit(checkout, tmp_path_factory):
    """With what makes patches hard: new files, binary ones, blank lines at the end, odd names."""
    (checkout / "code.py").write_text("two\n\n \n")
    (checkout / "new").mkdir()
    (checkout / "new" / "a name.py").write_text("no newline at its end")
    (checkout / "new" / "bytes.bin").write_bytes(bytes(range(256)))
    (checkout / "large.bin").write_bytes(bytes(2_000_000))
    (checkout / ".gitignore").write_text("ignored\n")
    (checkout / "ignored").write_text("ignored")
    (checkout / "dvc.lock").write_text("two\n")
    clone = tmp_path_factory.mktemp("clone")
    subprocess.run(["git", "clone", "-q", str(checkout), str(clone)], check=True)
    subprocess.run(["git", "apply"], cwd=clone, input=source_difference(), text=True, check=True)
    for name in ("code.py", "new/a name.py", "new/bytes.bin", ".gitignore"):
        assert (clone / name).read_bytes() == (checkout / name).read_bytes(), name
    assert not (clone / "large.bin").exists()
    assert not (clone / "ignored").exists()
    assert (clone / "dvc.lock").read_text() == "one\n"


def test_requirements_and_threads_are_recorded(checkout):
    assert provenance()["requirements_digest"] is None
    (checkout / "requirements.txt").write_text("torch==2.11.0\n")
    found = provenance()
    assert found["requirements_digest"] == file_digest(checkout / "requirements.txt")
    assert found["threads"] == torch.get_num_threads()


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("stages/pretrain.py", "python stages/pretrain.py 'a b'"),
        ("{here}/stages/pretrain.py", "python stages/pretrain.py 'a b'"),
        ("{here}/.venv/bin/multisk", "multisk 'a b'"),
        ("{here}/src/multisk/__main__.py", "multisk 'a b'"),
    ],
)
def test_the_command_is_what_a_person_types(tmp_path, monkeypatch, program, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [program.format(here=tmp_path), "a b"])
    assert provenance()["command"] == command


def test_outside_of_git_nothing_is_claimed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = provenance()
    assert found["git_commit"] is None
    assert found["git_dirty"] is None
