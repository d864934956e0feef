"""Importing checkpoints: what is written, what is refused."""

import json
import os
import pathlib
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from safetensors import safe_open
from tests.reference.release import to_release
from torch import Tensor

from multisk.errors import InputError
from multisk.files import file_digest
from multisk.models.checkpoints import davenet_sizes, import_checkpoint, load_imported
from multisk.models.release_config import model_from_release_config
from multisk.published.pth import read_plain

FUSION = {"embed_dim": 8, "depth": 1, "num_heads": 2, "mlp_ratio": 1, "anc_len_txt": 3}
SIZES = {"text_embed_dim": 5, "video_embed_dim": 6, "projection_dim": 10, "fusion_params": FUSION}
ARCH = {"type": "TransformerPerModalityModel2", "args": SIZES}
DAVENET = {"layers": [2, 1], "layer_widths": [4, 6, 8], "convsize": 3, "feat_dim": 40}
LEFTOVERS = {"fusion.norm.weight": torch.ones(8), "cluster_text.anc_dist": torch.zeros(3)}


def released(arch: dict[str, Any] = ARCH) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = model_from_release_config(arch["type"], arch["args"], DAVENET)
    return {key: x.clone() for key, x in to_release(model, LEFTOVERS).items()}


def checkpoint(**changes: Any) -> dict[str, Any]:
    return {"arch": ARCH["type"], "epoch": 7, "state_dict": released(), "config": {"arch": ARCH}} | changes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "latest_model.pth"


def test_names_and_metafile_say_what_it_is(path, tmp_path):
    torch.save(checkpoint(), path)
    written = import_checkpoint(path, tmp_path / "out")
    digest = file_digest(written)
    assert written.name == f"latest_model-{digest[:8]}.safetensors"
    meta = json.loads(written.with_suffix(".json").read_text())
    assert meta["sha256"] == digest
    assert meta["source"] == {"file": "latest_model.pth", "sha256": file_digest(path), "epoch": 7}
    assert meta["architecture"] == {**ARCH, "davenet": DAVENET, "package": None}
    assert meta["leftovers"] == {key: list(x.shape) for key, x in LEFTOVERS.items()}
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == [
        written.with_suffix(".json").name,
        written.name,
    ]


def test_every_weight_comes_through(path, tmp_path):
    weights = released()
    torch.save(checkpoint(state_dict={f"module.{key}": x for key, x in weights.items()}), path)
    model = load_imported(import_checkpoint(path, tmp_path))
    assert not model.training
    back = to_release(model, LEFTOVERS)
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[key], x) for key, x in weights.items())


def test_importing_again_gives_the_same_file(path, tmp_path):
    torch.save(checkpoint(), path)
    first = import_checkpoint(path, tmp_path / "out")
    content = first.read_bytes()
    assert import_checkpoint(path, tmp_path / "out") == first
    assert first.read_bytes() == content


@pytest.mark.parametrize("old_format", [False, True])
def test_bare_state_dicts_need_a_config(path, tmp_path, old_format):
    torch.save(released(), path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(InputError, match=r"latest_model\.pth: arch: missing; .*--config"):
        import_checkpoint(path, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"arch": ARCH, "name": "a run"}))
    written = import_checkpoint(path, tmp_path, config=tmp_path / "config.json")
    assert load_imported(written.with_suffix(".json")).anchors is not None


@pytest.mark.parametrize("form", ["json", "json with tabs", "yaml"])
def test_configs_are_json_or_yaml(path, tmp_path, form):
    torch.save(released(), path)
    config = tmp_path / f"config.{form[:4]}"
    if form == "yaml":
        YAML().dump({"arch": ARCH, "name": "a run"}, config)
    else:
        config.write_text(json.dumps({"arch": ARCH}, indent="\t" if "tabs" in form else None))
    metafile = import_checkpoint(path, tmp_path, config=config).with_suffix(".json")
    assert json.loads(metafile.read_text())["architecture"] == {**ARCH, "davenet": DAVENET, "package": None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; check the path"),
        ("{", "cannot be read as JSON or YAML"),
        ("arch: [1, 2", "cannot be read as JSON or YAML"),
        ("arch: !!python/object/apply:os.system [ls]", "cannot be read as JSON or YAML"),
        ("a: 1", "arch: missing"),
        ("just text", "arch: missing"),
    ],
)
def test_other_configs_are_named_as_a_users_files(path, tmp_path, content, message):
    torch.save(released(), path)
    config = tmp_path / "config.yaml"
    if content is not None:
        config.write_text(content)
    with pytest.raises(InputError, match=rf"config\.yaml: {message}") as caught:
        import_checkpoint(path, tmp_path / "out", config=config)
    assert not any(words in str(caught.value) for words in ("\n", "dvc", "delete"))


def test_folders_and_texts_are_not_called_damaged(path, tmp_path):
    with pytest.raises(InputError, match=r"a folder; name the \.pth file itself"):
        import_checkpoint(tmp_path, tmp_path / "out")
    path.write_text("<html>e: there is nothing here</html>")
    with pytest.raises(InputError, match=r"latest_model\.pth: begins as no file of torch\.save does"):
        import_checkpoint(path, tmp_path / "out")


def test_half_precision_becomes_single(path, tmp_path):
    weights = {key: x.half() if x.is_floating_point() else x for key, x in released().items()}
    torch.save(checkpoint(state_dict=weights), path)
    with safe_open(import_checkpoint(path, tmp_path), framework="pt") as file:
        kinds = {file.get_tensor(key).dtype for key in file.keys() if "num_batches" not in key}  # noqa: SIM118
    assert kinds == {torch.float32}


def test_avlnet_gives_the_same_embeddings(path, tmp_path):
    torch.manual_seed(0)
    args = {"we_dim": 5, "video_dim": 6, "embd_dim": 8}
    model = model_from_release_config("AVLnetBaselineModel", args, DAVENET).eval()
    arch = {"type": "AVLnetBaselineModel", "args": args}
    torch.save({"state_dict": to_release(model, {}), "config": {"arch": arch}}, path)
    batch = {
        "text": torch.randn(2, 4, 5),
        "text_mask": torch.ones(2, 4, dtype=torch.bool),
        "video": torch.randn(2, 3, 6),
        "video_mask": torch.ones(2, 3, dtype=torch.bool),
        "audio": torch.randn(2, 40, 16),
        "audio_mask": torch.ones(2, 16, dtype=torch.bool),
    }
    imported = load_imported(import_checkpoint(path, tmp_path))
    for m, expected in model(batch).joint.items():
        assert torch.equal(imported(batch).joint[m], expected)


KINDS = ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")


@pytest.mark.parametrize(
    ("old_format", "core"), [(False, b"numpy._core"), (True, b"numpy._core"), (True, b"numpy.core")]
)
def test_numpy_scalars_are_numbers(path, tmp_path, old_format, core):
    content = checkpoint(monitor_best={kind: np.dtype(kind).type(1) for kind in KINDS}, epoch=np.int64(7))
    torch.save(content, path, _use_new_zipfile_serialization=not old_format)
    if old_format:  # names end with their line, so that they may be of any length; numpy 1 wrote others
        path.write_bytes(path.read_bytes().replace(b"numpy._core", core))
    assert core + b".multiarray" in path.read_bytes()
    best = read_plain(path)["monitor_best"]
    assert best == dict.fromkeys(KINDS, 1)
    assert {type(value) for value in best.values()} == {float, int, bool}
    written = import_checkpoint(path, tmp_path / "out")
    assert json.loads(written.with_suffix(".json").read_text())["source"]["epoch"] == 7


def test_numpy_scalars_of_objects_are_refused(path, tmp_path):
    class Disguised:
        def __reduce__(self) -> Any:
            return np._core.multiarray.scalar, (np.dtype("O"), {})

    torch.save(checkpoint(monitor_best=Disguised()), path)
    with pytest.raises(InputError, match=r"latest_model\.pth: refused: it holds an array of Python objects"):
        import_checkpoint(path, tmp_path / "out")


def test_sizes_of_the_audio_network_are_in_the_weights():
    assert davenet_sizes(released()) == DAVENET
    assert davenet_sizes({"proj.fc.weight": torch.ones(2, 2)}) is None


class Foreign:
    """Would make a file if it were unpickled."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("place", ["config", "state_dict", "epoch"])
@pytest.mark.parametrize("old_format", [False, True])
def test_foreign_objects_are_named_and_not_made(path, tmp_path, place, old_format):
    content = checkpoint(**{place: Foreign(tmp_path / "ran")})
    torch.save(content, path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(InputError, match=r"latest_model\.pth: holds posix\.system, which is not plain data"):
        import_checkpoint(path, tmp_path / "out")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, -10])
def test_cut_off_files_are_named(path, tmp_path, keep):
    torch.save(checkpoint(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(InputError, match=r"latest_model\.pth: damaged or cut off .*fetch it again") as caught:
        import_checkpoint(path, tmp_path)
    assert "\n" not in str(caught.value)


def broken(key: str) -> dict[str, Tensor]:
    weights = released()
    weights[key] = torch.full_like(weights[key], torch.nan)
    return weights


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], r"state_dict: missing"),
        ({"arch": "ResNet", "epoch": 3}, r"state_dict: 'arch' is str, expected a tensor"),
        (checkpoint(state_dict={"fc.weight": torch.ones(2, 2)}), r"lacks .*; give the config"),
        (checkpoint(state_dict={**released(), "new.weight": torch.ones(1)}), r"has unknown new\.weight"),
        (checkpoint(state_dict=broken("video_proj.fc.bias")), r"projection\.v\.fc\.bias: .*not finite"),
        (
            checkpoint(config={"arch": {"type": "ResNet", "args": {}}}),
            r"arch\.type: ResNet: not a known model",
        ),
        (checkpoint(config={"arch": {**ARCH, "args": {"depth": 3}}}), r"arch\.args: unknown key depth"),
        (checkpoint(config={"arch": {**ARCH, "args": {"fusion_params": 3}}}), r"arch: describes no model"),
        (
            checkpoint(config={"arch": {**ARCH, "args": {**SIZES, "video_embed_dim": 7}}}),
            r"has another shape in video_token_proj\.fc\.weight",
        ),
        (
            checkpoint(state_dict={**released(), "module.video_proj.fc.bias": torch.ones(10)}),
            r"names both with and without module\.",
        ),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(path, tmp_path, content, message):
    torch.save(content, path)
    with pytest.raises(InputError, match=rf"latest_model\.pth: .*{message}") as caught:
        import_checkpoint(path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_missing_and_changed_files_are_named(path, tmp_path):
    with pytest.raises(InputError, match=r"latest_model\.pth: no such checkpoint"):
        import_checkpoint(path, tmp_path)
    torch.save(checkpoint(), path)
    written = import_checkpoint(path, tmp_path)
    content = bytearray(written.read_bytes())
    content[-1] ^= 1
    written.write_bytes(content)
    with pytest.raises(InputError, match=r"differs from the checksum in latest_model-\w{8}\.json"):
        load_imported(written)
    written.with_suffix(".json").write_text("{}")
    with pytest.raises(InputError, match="no metafile of an imported checkpoint"):
        load_imported(written)
