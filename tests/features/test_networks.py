"""The two networks: what they see of the frames, what they make of it, which weights they take."""

import pytest
import torch
import torch.nn.functional as F

from multisk.errors import InputError
from multisk.features.appearance import AppearanceNetwork
from multisk.features.extractors import draw_weights, prepare_extractors
from multisk.features.motion import KINETICS_MEAN, MotionNetwork, ResNeXt3d


def pictures(count: int, height: int = 16, width: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, height, width, 3), generator=generator, dtype=torch.uint8)


def small_motion(window: int = 16) -> MotionNetwork:
    network = MotionNetwork(ResNeXt3d((1, 2, 1, 1), cardinality=2, width=4), window)
    draw_weights(network, seed=0)
    return network.eval()


def test_windows_are_cut_in_order_and_filled_with_black() -> None:
    frames = pictures(21)
    windows = small_motion().preprocess(frames)
    assert windows.shape == (2, 3, 16, 16, 16)
    mean = torch.tensor(KINETICS_MEAN)
    torch.testing.assert_close(windows[1, :, 4], (frames[20] - mean).permute(2, 0, 1))
    torch.testing.assert_close(windows[1, :, 5:], -mean[:, None, None, None].expand(3, 11, 16, 16))


@torch.inference_mode()
def test_a_window_has_the_same_features_anywhere() -> None:
    network, frames = small_motion(), pictures(48)
    features = network(frames)
    assert features.shape == (3, network.dimension) == (3, 64)
    torch.testing.assert_close(features[1:2], network(frames[16:32]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("side", "window"), [(16, 16), (33, 16), (112, 5)])
@torch.inference_mode()
def test_motion_of_any_size(side: int, window: int) -> None:
    features = small_motion(window)(pictures(2 * window, side, side))
    assert features.shape == (2, 64)
    assert features.isfinite().all()


@torch.inference_mode()
def test_every_stage() -> None:
    frames = pictures(16, 32, 32)
    last = small_motion()
    whole = MotionNetwork(last.backbone, 16, every_stage=True)
    assert whole(frames).shape == (1, whole.dimension) == (1, 2 + 8 + 16 + 32 + 64)
    torch.testing.assert_close(whole(frames)[:, -64:], last(frames))
    stages = AppearanceNetwork("test_resnet", every_stage=True).eval()
    maps = stages.backbone(stages.preprocess(frames))
    assert len(maps) == 5
    torch.testing.assert_close(stages(frames), torch.cat([each.mean((2, 3)) for each in maps], dim=1))
    assert stages(frames).shape == (16, stages.dimension)


def test_stage_sizes() -> None:
    network = ResNeXt3d((1, 2, 1, 1), cardinality=2, width=4)
    assert [len(network.get_submodule(stage)) for stage in network.stages] == [1, 2, 1, 1]  # type: ignore[arg-type]
    grouped = network.get_submodule("layer4.0.conv2")
    assert tuple(grouped.weight.shape) == (32, 16, 3, 3, 3)  # type: ignore[union-attr]


@torch.inference_mode()
def test_appearance_is_the_mean_over_the_whole_picture() -> None:
    network = AppearanceNetwork("resnet10t").eval()
    frames = pictures(2, 40, 96)
    normalised = (frames / 255 - torch.tensor((0.485, 0.456, 0.406))) / torch.tensor((0.229, 0.224, 0.225))
    maps = network.backbone.forward_features(normalised.permute(0, 3, 1, 2))
    assert maps.shape[2] != maps.shape[3]
    torch.testing.assert_close(network(frames), F.adaptive_avg_pool2d(maps, 1).flatten(1))


@torch.inference_mode()
def test_a_transformer_gives_its_pooled_token_of_squares() -> None:
    network = AppearanceNetwork("test_vit").eval()
    frames = pictures(2, 160, 160)
    normalised = (frames.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5  # its own statistics, not ImageNet's
    tokens = network.backbone.forward_features(normalised)
    pooled = network.backbone.fc_norm(tokens[:, 0])
    assert network.side == 160
    torch.testing.assert_close(network(frames), pooled)
    assert network(frames).shape == (2, network.dimension)


@pytest.mark.parametrize("model", ["test_convnext", "test_efficientnet", "mobilenetv3_small_050"])
@torch.inference_mode()
def test_other_networks_say_how_wide_their_features_are(model: str) -> None:
    network = AppearanceNetwork(model).eval()
    assert network(pictures(2, 64, 96)).shape == (2, network.dimension)


def test_names_models_that_do_not_fit(tmp_path, settings) -> None:
    with pytest.raises(InputError, match=r"features\.appearance: Unknown model \(resnet1234\)"):
        AppearanceNetwork("resnet1234")
    with pytest.raises(InputError, match=r"appearance\.weights: .* which test_vit lacks"):
        AppearanceNetwork("test_vit", every_stage=True)
    path = tmp_path / "vit.pth"
    torch.save(AppearanceNetwork("test_vit").backbone.state_dict(), path)
    options = settings(appearance__model="test_vit", appearance__weights=str(path))
    with pytest.raises(InputError, match=r"takes no 42 x 32 frames: .*set crop: true and short_side: 160"):
        prepare_extractors(None, options, tmp_path / "out")
