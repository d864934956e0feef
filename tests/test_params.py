from pathlib import Path

import pytest

from multisk.errors import InputError
from multisk.params import load_params, load_profile
from multisk.params.profiles import composed_text, profile_names

PROFILES = Path(__file__).parents[1] / "profiles"


@pytest.fixture
def text():
    return composed_text("miniature", PROFILES)


def load(folder, text):
    path = folder / "params.yaml"
    path.write_text(text)
    return load_params(path)


@pytest.mark.parametrize("profile", profile_names(PROFILES))
def test_each_profile_is_valid_and_names_itself(profile):
    assert load_profile(profile, PROFILES).profile == profile


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "learning_rate:",
            "lerning_rate:",
            "benchmarks.youcook2.finetune.lerning_rate: unknown key, did you mean learning_rate?",
        ),
        ("  joint_dimension:", "  # joint_dimension:", "model.joint_dimension: missing"),
        ("temperature: 0.05", "temperature: -1", "temperature: Input should be greater than 0"),
        ("heads: 4", "heads: 7", "must divide dimension"),
        ("fraction: 0.5", "fraction: half", "sspc.sinkhorn.fraction: Input should be a valid number"),
        ("methods:", "methods: [", "cannot be read as YAML"),
        (
            "queue: 768\n      temp",
            "queu: 768\n      temp",
            "methods.sinkhorn.sspc.queu: unknown key, did you mean queue?",
        ),
        ("{count: 64}", "{cout: 64}", "methods.sinkhorn.sspc.anchors.cout: unknown key, did you mean count?"),
        (
            "reconstruction: {weight: 1.0}",
            "sspc: null\n    architecture: {fused: false}",
            "methods.mcn: architecture.fused: model per_modality has no such choice; leave it out",
        ),
        (
            "methods:\n  contrastive:",
            'methods:\n  "a;touch X":',
            "methods.a;touch X: a name has lower-case letters, digits, - and _ alone",
        ),
        ("profile: miniature", "profile: ../x", "profile: a name has lower-case letters"),
        ("corpus: mini-howto", "corpus: ../x", "clips.pretrain.corpus: a name has lower-case letters"),
        ("studies:\n    anchors:", "studies:\n    $(date):", "sweep.studies.$(date): a name has"),
        ("    queue: [methods", "    a b: [methods", "sweep.names.a b: a name has"),
        (
            "seeds: [0, 1, 2]",
            "seeds: [0, 0]",
            "pretrain.seeds: seeds must differ from each other",
        ),
        ("seeds: [0, 1, 2]", "seeds: []", "pretrain.seeds: Tuple should have at least 1 item"),
        ("seeds: [0]\n      trials: 8", "seeds: [2, 2]\n      trials: 8", "weights.seeds: seeds must differ"),
    ],
)
def test_a_mistake_is_named_in_one_line(tmp_path, text, old, new, message):
    with pytest.raises(InputError) as caught:
        load(tmp_path, text.replace(old, new))
    said = str(caught.value)
    assert message in said
    assert str(tmp_path / "params.yaml") in said
    assert "\n" not in said


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"params\.yaml: no such file"):
        load_params(tmp_path / "params.yaml")


def test_a_file_without_sections_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected keys with values, found str"):
        load(tmp_path, "just words")


def test_settings_cannot_be_changed(text, tmp_path):
    params = load(tmp_path, text)
    with pytest.raises(ValueError, match="frozen"):
        params.profile = "other"


def test_an_unknown_method_is_named_with_the_known_ones(text, tmp_path):
    with pytest.raises(
        InputError, match=r"methods\.nothing: no such method; known: contrastive, sinkhorn, sspc, mcn, eao"
    ):
        load(tmp_path, text).method("nothing")
