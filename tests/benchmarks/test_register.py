"""A benchmark of one's own: a file and a reader of a few lines are all that registering its videos needs."""

import sys

import pytest
from ruamel.yaml import YAML

from multisk.benchmarks import definition, register
from multisk.benchmarks.register import register_benchmark
from multisk.errors import InputError

READER = """
from multisk.benchmarks.register import ListedClip, Listing
from multisk.published.tables import read_csv


def read_files(files, findings):
    table = read_csv(files["list"], ("video", "from", "to", "said"))
    rows = zip(*(table[name] for name in table), strict=True)
    return Listing([ListedClip(video, "test", [said], float(a), float(b)) for video, a, b, said in rows])
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Folders with the file and the reader of a benchmark `own`, with videos, and with annotations."""
    (tmp_path / "own_reader.py").write_text(READER)
    content = YAML(typ="safe").load(definition.FOLDER / "msrvtt.yaml")
    content["settings"] |= {"corpus": "own", "complete_size": 3, "finetune": None}
    content |= {"title": "Own", "released": None, "rows": []}
    content["videos"] = {"reader": "own_reader:read_files", "files": {"list": "a csv"}, "optional": []}
    YAML().dump(content, tmp_path / "own.yaml")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    (tmp_path / "list.csv").write_text("video,from,to,said\na,0,2,cut\na,2,4,fry\nb,1,2,boil\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(register, "load_definition", lambda name: definition.load_definition(name, tmp_path))
    yield tmp_path
    sys.modules.pop("own_reader", None)


def test_a_reader_of_a_few_lines_is_enough(own):
    found = register_benchmark("own", own / "videos", own / "corpus", {"list": own / "list.csv"})
    assert found.corpus.of_split("test")["clip_id"].tolist() == ["a:0", "a:1", "b:0"]
    assert found.counts == {"videos": 1, "test clips of 3": 2}
    assert found.findings.counts == {"missing videos": 1}


def test_a_file_that_the_reader_needs_is_asked_for(own):
    with pytest.raises(InputError, match="own: --list: needed: a csv"):
        register_benchmark("own", own / "videos", own / "corpus", {})


def test_a_benchmark_without_a_reader_is_told(own):
    with pytest.raises(InputError, match="other: no reader of annotations"):
        register_benchmark("other", own / "videos", own / "corpus", {})
    text = (own / "own.yaml").read_text().replace("own_reader:read_files", "own_reader:read")
    (own / "own.yaml").write_text(text)
    with pytest.raises(
        InputError, match=r"own\.yaml: videos\.reader: own_reader:read: no such module:function"
    ):
        register_benchmark("own", own / "videos", own / "corpus", {"list": own / "list.csv"})
