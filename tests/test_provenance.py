import subprocess

import pytest

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


def test_outside_of_git_nothing_is_claimed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = provenance()
    assert found["git_commit"] is None
    assert found["git_dirty"] is None
