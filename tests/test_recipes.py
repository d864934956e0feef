"""Recipes: each one resolves, builds and trains on every profile; adding one changes nothing else."""

import shutil
import subprocess
import sys
from difflib import ndiff
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML
from torch import Tensor

from multisk.benchmarks.definition import load_definitions
from multisk.errors import InputError
from multisk.methods import recipes
from multisk.methods.model import position_counts
from multisk.methods.recipes import Recipe, add, entries, load_recipe, load_recipes, resolve
from multisk.models import build_model
from multisk.params import load_params, load_profile
from multisk.params.profiles import compose, use
from multisk.settings.models import Model
from multisk.settings.training import Method
from multisk.training import Objective

REPOSITORY = Path(__file__).parents[1]
NAMES = sorted(path.stem for path in (REPOSITORY / "recipes").glob("*.yaml"))
PROFILES = ("miniature", "smoke", "paper")
TEXT, VIDEO, CLIPS = 6, 10, 8
SIZES = Model.model_validate(
    {
        "dimension": 16,
        "joint_dimension": 8,
        "depth": 1,
        "heads": 2,
        "mlp_ratio": 1,
        "davenet": {"layers": [1, 1], "widths": [4, 4, 8], "kernel": 3},
    }
)


@pytest.fixture(scope="module")
def known() -> dict[str, Recipe]:
    return load_recipes(REPOSITORY / "recipes")


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working copy's settings and recipes, which is the current folder."""
    for folder in ("recipes", "profiles"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    use("miniature", tmp_path / "params.yaml", REPOSITORY / "profiles")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def method_of(recipe: Recipe, profile: str) -> Method:
    return Method.model_validate(resolve(recipe, compose(profile, REPOSITORY / "profiles")["methods"]))


def batch(seed: int, frames: int = 16) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def mask(tokens: int) -> Tensor:
        return torch.arange(tokens) < torch.randint(0, tokens + 1, (CLIPS, 1), generator=generator)

    return {
        "text": torch.randn(CLIPS, 3, TEXT, generator=generator),
        "text_mask": mask(3),
        "video": torch.randn(CLIPS, 5, VIDEO, generator=generator),
        "video_mask": mask(5),
        "audio": torch.randn(CLIPS, 40, frames, generator=generator),
        "audio_mask": mask(frames),
        "video_index": torch.arange(CLIPS) // 4,
        "start": torch.rand(CLIPS, generator=generator) * 30,
    }


def small(method: Method) -> Method:
    """The method with queues that one batch fills, so that all its losses are there in the second step."""
    changed = {
        name: part.model_copy(update={"queue": min(part.queue, CLIPS)})
        for name in ("sspc", "clustering")
        if (part := getattr(method, name)) is not None
    }
    if method.clustering:
        changed["clustering"] = changed["clustering"].model_copy(update={"centroids": 4})
    return method.model_copy(update=changed)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_trains_on_every_profile(name: str, profile: str, known: dict[str, Recipe]) -> None:
    method = small(method_of(known[name], profile))
    torch.manual_seed(0)
    model = build_model(
        method.model,
        SIZES,
        text_dimension=TEXT,
        video_dimension=VIDEO,
        anchors=method.sspc.anchors if method.sspc else None,
        architecture=method.architecture,
        positions={"t": 3, "v": 4, "a": 4},
    )
    objective = Objective(model, method).train()
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
    for step in range(2):
        loss, terms = objective(batch(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert torch.isfinite(loss)
        assert loss > 0
        assert all(torch.isfinite(term) for term in terms.values())
    parts = {name.partition("/")[0] for name in terms}
    expected = {"contrastive", "sspc", "clustering", "reconstruction"}
    assert parts == {part for part in expected if getattr(method, part) is not None}
    learning = [parameter for parameter in objective.parameters() if parameter.grad is not None]
    assert sum(bool(parameter.grad.any()) for parameter in learning) > len(learning) / 2  # type: ignore[union-attr]
    # At evaluation clips are longer than in pretraining.
    with torch.no_grad():
        embeddings = model.eval()(batch(3, frames=24))
    assert {"t", "v"} <= embeddings.joint.keys()
    assert all(torch.isfinite(x).all() for x in embeddings.joint.values())


@pytest.mark.parametrize("name", NAMES)
def test_memory_at_paper_scale_is_that_of_the_weights_and_their_companions(
    name: str, known: dict[str, Recipe]
) -> None:
    method = method_of(known[name], "paper")
    paper = load_profile("paper", REPOSITORY / "profiles")
    with torch.device("meta"):
        model = build_model(
            method.model,
            paper.model,
            text_dimension=300,
            video_dimension=4096,
            anchors=method.sspc.anchors if method.sspc else None,
            architecture=method.architecture,
            positions=position_counts(paper.model, paper.clips.pretrain),
        )
        objective = Objective(model, method)
    everything = sum(x.numel() for x in objective.parameters())
    learned = sum(x.numel() for x in objective.parameters() if x.requires_grad)
    averaged = sum(x.numel() for x in model.parameters())
    gib = 4 * (everything + 3 * learned + averaged) / 2**30  # a gradient and Adam's two moments each
    assert known[name].memory_gib in ("not measured", pytest.approx(gib, abs=0.06))


@pytest.mark.parametrize("name", NAMES)
def test_each_recipe_says_how_to_run_it_and_is_in_the_table_of_methods(
    name: str, known: dict[str, Recipe]
) -> None:
    assert known[name].command == f"make method METHOD={name}"
    assert f"| `{name}` |" in (REPOSITORY / "docs" / "methods.md").read_text()


def test_each_recipe_names_its_published_numbers(known: dict[str, Recipe]) -> None:
    rows = [row for definition in load_definitions().values() for row in definition.rows]
    assert {row.method for row in rows} <= known.keys()
    for name, recipe in known.items():
        assert set(recipe.published) == {row.key for row in rows if row.method == name}


def test_the_profiles_methods_have_recipes(known: dict[str, Recipe]) -> None:
    for profile in PROFILES:
        assert load_profile(profile, REPOSITORY / "profiles").methods.keys() <= known.keys()


def test_the_sinkhorn_of_the_profiles_is_what_its_recipe_makes(known: dict[str, Recipe]) -> None:
    for profile in ("miniature", "paper"):
        params = load_profile(profile, REPOSITORY / "profiles")
        assert method_of(known["sinkhorn"], profile) == params.methods["sinkhorn"]


# --- adding ------------------------------------------------------------------------------------


def test_adding_only_adds_lines(copy: Path) -> None:
    path = copy / "params.yaml"
    before = path.read_text()
    assert add(["avlnet", "sspc-cross"]) == {"avlnet": True, "sspc-cross": True}
    lines = [line for line in ndiff(before.splitlines(), path.read_text().splitlines()) if line[0] != " "]
    assert lines[0] == "+   avlnet:  # recipes/avlnet.yaml"
    assert all(line.startswith("+     ") or "recipes/" in line for line in lines)
    assert list(load_params(path).methods)[-2:] == ["avlnet", "sspc-cross"]
    assert [*copy.glob("params.yaml*")] == [path]


def commented() -> list[str]:
    """The lines of params.yaml with comments that were there before anything was added."""
    lines = Path("params.yaml").read_text().splitlines()
    return [line for line in lines if "#" in line and "# recipes/" not in line]


@pytest.mark.parametrize("profile", PROFILES)
def test_all_recipes_fit_into_every_profile(copy: Path, profile: str, known: dict[str, Recipe]) -> None:
    use(profile)
    before = commented()
    add(NAMES)
    params = load_params()
    assert set(params.methods) == set(NAMES)
    resolved = compose(profile)["methods"]
    for name, recipe in known.items():
        assert params.methods[name] == Method.model_validate(resolve(recipe, resolved)), name
    assert commented() == before


def test_a_method_that_is_there_is_left_as_it_is(copy: Path) -> None:
    text = Path("params.yaml").read_text().replace("clustering: {weight: 1.0", "clustering: {weight: 0.5")
    Path("params.yaml").write_text(text)
    assert add(["mcn"]) == {"mcn": False}
    assert Path("params.yaml").read_text() == text


def test_a_change_starts_from_the_settings_that_are_active(copy: Path) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("anchors: {count: 64}", "anchors: {count: 32}"))
    add(["sspc-no-queue"])
    sspc = load_params().methods["sspc-no-queue"].sspc
    assert sspc is not None
    assert (sspc.anchors.count, sspc.queue) == (32, 0)


def test_a_base_that_params_lacks_comes_from_its_profile(copy: Path) -> None:
    content = YAML(typ="safe").load(Path("params.yaml"))
    eao = content["methods"]["eao"]
    content["methods"] = {"eao": eao}
    with Path("params.yaml").open("w") as file:
        YAML().dump(content, file)
    add(["sspc-no-queue", "contrastive"])
    assert list(load_params().methods) == ["eao", "sspc-no-queue", "contrastive"]


def test_methods_at_the_end_of_a_file_grow_too(copy: Path) -> None:
    text = Path("params.yaml").read_text()
    start, end = text.index("methods:\n"), text.index("pretrain:\n  epochs")
    Path("params.yaml").write_text(text[:start] + text[end:] + text[start:end].rstrip() + "\n")
    add(["avlnet"])
    assert "avlnet" in load_params().methods


def test_nothing_is_written_when_a_name_is_wrong(copy: Path) -> None:
    before = Path("params.yaml").read_bytes()
    with pytest.raises(InputError, match=r"recipes/nothing\.yaml: no such recipe; known: avlnet, "):
        add(["avlnet", "nothing"])
    assert Path("params.yaml").read_bytes() == before


GOOD: dict[str, Any] = {
    "title": "a",
    "paper": "b",
    "table": None,
    "base": "sspc",
    "change": {"sspc.queue": 0},
    "taken": "c",
    "chosen": "d",
    "command": "e",
    "hours": "not measured",
    "memory_gib": 1.0,
    "published": [],
}


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ({"change": {"sspc.queu": 0}}, "change: sspc.queu: unknown key, did you mean queue?"),
        ({"change": {"sspc.que": None}}, "change: sspc.que: the base has no such key to take away"),
        ({"change": {"model.kind": 1}}, "change: model.kind: model is a value and has no keys"),
        ({"change": {"model": "eao"}}, "sspc needs a model with anchors, eao has none"),
        ({"change": {"architecture.fused": False}}, "architecture.fused: model per_modality has no such"),
        ({"base": "nothing"}, "base: params.yaml has no method nothing; known: contrastive, "),
        ({"change": {}}, "change: without any, it is sspc once more"),
        ({"base": "mine"}, "change: a recipe that is its own base"),
        ({"titel": "a"}, "titel: unknown key, did you mean title?"),
        ({"hours": "many"}, "hours"),
    ],
)
def test_a_mistaken_recipe_is_named_in_one_line(copy: Path, mistake: dict[str, Any], message: str) -> None:
    path = copy / "recipes" / "mine.yaml"
    YAML().dump({**GOOD, **mistake}, path)
    with pytest.raises(InputError) as caught:
        resolve(load_recipe(path), entries())
    said = str(caught.value)
    assert "recipes/mine.yaml" in said
    assert message in said
    assert "\n" not in said


def test_a_file_that_is_not_yaml_is_named(copy: Path) -> None:
    (copy / "recipes" / "mine.yaml").write_text("title: [")
    with pytest.raises(InputError, match=r"mine\.yaml: cannot be read as YAML"):
        load_recipes()
    with pytest.raises(InputError, match="no recipes"):
        recipes.load_recipes(copy / "none")


def test_the_commands_list_and_add(copy: Path) -> None:
    def multisk(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "multisk", *arguments]
        return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)

    listed = multisk("methods").stdout.splitlines()
    assert len(listed) == len(NAMES)
    assert [line.split()[1] for line in listed if line.startswith("*")] == sorted(load_params().methods)
    done = multisk("add", "howto100m", "eao")
    assert done.stdout == (
        "howto100m is now a method of params.yaml; run: dvc repro evaluate@howto100m\n"
        "eao is already in params.yaml; run: dvc repro evaluate@eao\n"
    )
    assert "howto100m" in load_params().methods
    wrong = multisk("add", "nothing")
    assert wrong.returncode == 2
    assert len(wrong.stderr.splitlines()) == 1
