"""The commands beside the pipeline, as a person types them."""

import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

from multisk.params.profiles import composed_text, use


@pytest.fixture
def folder(repository, tmp_path):
    """A working copy's settings, without data."""
    use("miniature", tmp_path / "params.yaml", repository / "profiles")
    return tmp_path


def multisk(folder, *arguments):
    command = [sys.executable, "-m", "multisk", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def write_clips(path, ids):
    rng = np.random.default_rng(0)
    clips = [
        {
            "id": clip_id,
            "2d": rng.random((8, 6), np.float32),
            "3d": rng.random((12, 6), np.float32),
            "audio": rng.random((40, 800), np.float32),
            "eval_caption": f"clip {clip_id}",
            "caption": [f"clip {clip_id}"],
        }
        for clip_id in ids
    ]
    path.write_bytes(pickle.dumps(clips))


def test_published_features_are_imported(folder):
    write_clips(folder / "test.pickle", ["video1", "video2"])
    done = multisk(folder, "import", "msrvtt", "--test", "test.pickle")
    assert done.returncode == 0, done.stderr
    assert (folder / "data/corpora/msrvtt/clips.parquet").exists()
    assert (folder / "data/features/msrvtt/index.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("import", "msrvtt", "--test", "none.pickle"), "none.pickle"),
        (("import-checkpoint", "none.pth"), "none.pth"),
        (("import-checkpoint", "none.pth", "--package", "x"), "--package: 'x' is not one of"),
        (("unpack", "none.tar", "out"), "none.tar"),
        (("index", "videos", "--model", "none"), "videos: no such folder"),
        (("search", "onion"), "index"),
        (("videos", "youcook2", "videos"), "error:"),
    ],
)
def test_what_is_missing_is_one_line(folder, arguments, message):
    done = multisk(folder, *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1


def test_a_pickle_that_runs_code_is_refused(folder):
    class Harm:
        def __reduce__(self):
            return (eval, ("open('harm', 'w')",))

    (folder / "test.pickle").write_bytes(pickle.dumps([Harm()]))
    done = multisk(folder, "import", "msrvtt", "--test", "test.pickle")
    assert done.returncode == 2
    assert "builtins.eval" in done.stderr
    assert not (folder / "harm").exists()


def test_use_makes_a_profile_active_and_keeps_every_settings_of_ones_own(repository, folder):
    shutil.copytree(repository / "profiles", folder / "profiles")
    active = folder / "params.yaml"
    edits = [active.read_text() + "# first\n", active.read_text() + "# second\n"]
    for profile, edited in zip(("paper", "smoke"), edits, strict=True):
        active.write_text(edited)
        assert multisk(folder, "use", profile).returncode == 0
        assert active.read_text() == composed_text(profile, folder / "profiles")
    done = multisk(folder, "use", "miniature")
    assert "your settings" not in done.stdout, "a profile as it is needs no copy"
    assert [(folder / name).read_text() for name in ("params.yaml.old", "params.yaml.old-2")] == edits
    assert sorted(path.name for path in folder.glob("params.yaml*")) == [
        "params.yaml",
        "params.yaml.old",
        "params.yaml.old-2",
    ]


def test_check_says_what_differs_from_the_profile(repository, folder):
    shutil.copytree(repository / "profiles", folder / "profiles")
    as_composed = multisk(folder, "check", "--unchanged")
    assert as_composed.returncode == 0
    assert len(as_composed.stdout.splitlines()) == 1
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("seeds: [0, 1, 2]", "seeds: [3]", 1))
    assert multisk(folder, "check").returncode == 0
    changed = multisk(folder, "check", "--unchanged")
    assert changed.returncode == 1
    assert changed.stdout.splitlines()[1:] == ["  pretrain.seeds: [0, 1, 2] -> [3]"]
