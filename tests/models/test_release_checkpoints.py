"""Released checkpoints: what is refused, and how."""

from typing import Any

import pytest
import torch
from tests.reference.release import to_release
from torch import Tensor

from multisk.errors import InputError
from multisk.models.release import from_release
from multisk.models.release_config import model_from_release_config

FUSION = {"embed_dim": 8, "depth": 1, "num_heads": 2, "mlp_ratio": 1, "anc_len_txt": 3}
SIZES = {"text_embed_dim": 5, "video_embed_dim": 6, "projection_dim": 10, "fusion_params": FUSION}
DAVENET = {"layers": [1, 1], "layer_widths": [4, 4, 4]}


def config(cls: str = "TransformerPerModalityModel2", **args: Any) -> dict[str, Any]:
    return {"type": cls, "args": SIZES | args, "davenet": DAVENET}


@pytest.fixture
def released() -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = model_from_release_config("TransformerPerModalityModel2", SIZES, DAVENET)
    leftovers = {"fusion.norm.weight": torch.ones(8), "cluster_text.anc_dist": torch.zeros(3)}
    return {key: x.clone() for key, x in to_release(model, leftovers).items()}


def test_aliases_may_be_missing_but_not_differ(released: dict[str, Tensor]) -> None:
    primary = {key: x for key, x in released.items() if not key.startswith("fusion_text.")}
    assert len(primary) < len(released)
    model, leftovers = from_release(primary, config())
    assert to_release(model, leftovers).keys() == released.keys()
    released["fusion_text.blocks.0.attn.proj.bias"] += 1
    with pytest.raises(InputError, match=r"^ours\.pth: has values unlike those .*fusion_text\.blocks"):
        from_release(released, config(), source="ours.pth")


def test_leftovers_are_known_ones(released: dict[str, Tensor]) -> None:
    _, leftovers = from_release(released, config())
    assert leftovers.keys() == {"fusion.norm.weight", "cluster_text.anc_dist"}
    with pytest.raises(InputError, match=r"has unknown new_head\.weight; give the config"):
        from_release(released | {"new_head.weight": torch.ones(1)}, config())


def test_missing_and_misshapen_entries_are_refused(released: dict[str, Tensor]) -> None:
    with pytest.raises(InputError, match=r"has another shape in text_token_proj\.fc\.weight"):
        from_release(released, config(text_embed_dim=7))
    del released["video_norm_layer.bias"], released["text_proj.fc.bias"]
    with pytest.raises(InputError, match=r"lacks video_norm_layer\.bias \(and 1 more\)"):
        from_release(released, config())


def test_the_model_owns_its_tensors(released: dict[str, Tensor]) -> None:
    model, leftovers = from_release(released, config())
    before = {key: x.clone() for key, x in released.items()}
    with torch.no_grad():
        for x in (*model.parameters(), *leftovers.values()):
            x.add_(1)
    assert all(torch.equal(released[key], x) for key, x in before.items())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (config("ResNet"), "arch.type: ResNet: not a known model"),
        (config(dropout=0.1), "arch.args: unknown key dropout"),
        (config(fusion_params={"dropping": 0.1}), "arch.args.fusion_params: unknown key dropping"),
        (
            config(projection="linear"),
            "arch.args.projection: 'linear' is not supported; supported: gated, min",
        ),
        (config(token_projection=""), "arch.args.token_projection: '' is not supported"),
        (
            config("EverythingAtOnceModel", strategy_audio_pooling="mean"),
            "arch.args.strategy_audio_pooling: 'mean' is not supported; supported: none, clip, nearest, max",
        ),
        (config(individual_projections=False), "arch.args.individual_projections: False is not supported"),
        (
            config("EverythingAtOnceModel", anchor_raw_feat_sim=True),
            "arch.args.anchor_raw_feat_sim: True is not",
        ),
        (
            config(fusion_params={"use_cls_token": "yes"}),
            "fusion_params.use_cls_token: 'yes' is not supported",
        ),
        (config(use_positional_emb=True, text_max_tokens=3), "use_positional_emb needs video_max_tokens"),
    ],
)
def test_unknown_architectures_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model_from_release_config(changed["type"], changed["args"], changed["davenet"])


def test_an_unknown_package_is_refused() -> None:
    with pytest.raises(InputError, match=r"arch\.package: 'mks' is not supported; supported: None, msk, eao"):
        model_from_release_config("TransformerPerModalityModel", SIZES, DAVENET, package="mks")


def test_rates_of_dropout_change_nothing_in_evaluation(released: dict[str, Tensor]) -> None:
    rates = {"drop_rate": 0.1, "attn_drop_rate": 0.2, "drop_path_rate": 0.3}
    models = [from_release(released, config(fusion_params=FUSION | more))[0].eval() for more in ({}, rates)]
    torch.manual_seed(0)
    batch = {
        "text": torch.randn(2, 4, 5),
        "text_mask": torch.ones(2, 4, dtype=torch.bool),
        "video": torch.randn(2, 3, 6),
        "video_mask": torch.ones(2, 3, dtype=torch.bool),
        "audio": torch.randn(2, 40, 16),
        "audio_mask": torch.ones(2, 16, dtype=torch.bool),
    }
    with torch.no_grad():
        plain, with_rates = (model(batch).joint for model in models)
    assert plain.keys() == with_rates.keys()
    assert all(torch.equal(plain[m], with_rates[m]) for m in plain)
