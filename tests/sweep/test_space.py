"""From a study's entry to the settings of its trials."""

import pytest

from multisk.errors import InputError
from multisk.params import load_params, load_profile
from multisk.params.profiles import composed_text
from multisk.sweep.space import check, grid, settings_of, study_of


@pytest.mark.parametrize("profile", ["miniature", "smoke", "paper"])
def test_every_declared_study_can_be_run_to_its_end(repository, profile):
    params = load_profile(profile, repository / "profiles")
    for name, study in {**params.sweep.studies, **params.sweep.others}.items():
        check(params, name, study)


def test_a_name_sets_all_terms_that_it_stands_for(params):
    study = study_of(params, "weights")
    point = {"modality_specific": 0.7, "cross_modal": 0.3, "audio": 0.02, "anchors": 32}
    method, changed = settings_of(params, "weights", study, point)
    assert method == "sspc"
    sspc = changed.methods["sspc"].sspc
    for terms in (sspc.input_to_joint, sspc.joint_to_input):
        weights = {a + d: getattr(getattr(terms, a), d) for a in "tva" for d in "tva"}
        assert {key for key, weight in weights.items() if weight == 0.7} == {"tt", "vv"}
        assert {key for key, weight in weights.items() if weight == 0.3} == {"tv", "vt"}
        assert {key for key, weight in weights.items() if weight == 0.02} == {"ta", "at", "va", "av", "aa"}
    assert sspc.anchors.count == 32
    others = {name: entry for name, entry in changed.methods.items() if name != "sspc"}
    assert others == {name: entry for name, entry in params.methods.items() if name != "sspc"}
    assert changed.pretrain == params.pretrain


def test_two_methods_are_a_part_of_the_grid(params):
    study = study_of(params, "when")
    points = grid(study)
    assert len(points) == 8
    assert [settings_of(params, "when", study, point)[0] for point in points] == [
        *["contrastive"] * 4,
        *["sspc"] * 4,
    ]
    changed = settings_of(params, "when", study, points[1])[1]
    assert (changed.clips.pretrain.share, changed.clips.pretrain.misaligned) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("study", "change", "message"),
    [
        (
            "anchors",
            {"space": {"methods.sspc.sspc.anchor.count": (8, 16)}},
            "sweep.studies.anchors.space.methods.sspc.sspc.anchor.count: .*did you mean anchors",
        ),
        ("anchors", {"space": {"anchors": (8, 1)}}, r"studies\.anchors\.space: anchors 1: .*anchors\.count"),
        ("epsilon", {"space": {"epsilon": (-1.0, 1.0)}}, r"sweep\.others\.epsilon\.space: epsilon -1\.0: "),
        ("anchors", {"space": {"model": (1, 2)}}, "model is a section"),
        ("assignments", {"space": {"assignments": (0.5, 0.001)}}, r"0\.001: .*makes 0 assignments"),
        ("when", {"methods": ("sspc", "nothing")}, "sweep.studies.when.methods: no method 'nothing'"),
        ("learning", {"space": {"learning_rate": {"low": -1.0, "high": 1.0, "log": False}}},
         r"learning_rate -1\.0"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_study_and_key_before_any_trial(params, study, change, message):
    entry = study_of(params, study)
    wrong = type(entry).model_validate({**entry.model_dump(), **change})
    with pytest.raises(InputError, match=message) as caught:
        check(params, study, wrong)
    assert str(caught.value).startswith("params.yaml: sweep.")
    assert "\n" not in str(caught.value)


def test_an_unknown_study_is_named_with_the_known_ones(params):
    with pytest.raises(
        InputError, match=r"sweep\.studies\.nothing: no such study; known: anchors, weights, when, "
    ):
        study_of(params, "nothing")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sampler: tpe", "sampler: grid", "weights: .*a grid needs lists of choices"),
        ("msrvtt]\n      pruner: null", "msrvtt]\n      pruner: median",
         "weights: .*a pruner needs a single objective"),
        ("trials: 8", "trials: null", "weights: .*trials is needed"),
        ("low: 0.1, high: 3.0", "low: 3.0, high: 0.1", "low must be less than high"),
        ("low: 0.1, high: 3.0", "low: 0.0, high: 3.0", "low must be more than 0"),
        ("anchors: [8, 16, 32, 64, 128, 256]", "anchors: [8]", "a grid needs at least two points"),
        ("grace_seconds: 60", "grace_seconds: 5", "grace_seconds must be more than heartbeat_seconds"),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_is_refused_by_the_schema(repository, tmp_path, old, new, message):
    text = composed_text("miniature", repository / "profiles")
    assert old in text
    (tmp_path / "params.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        load_params(tmp_path / "params.yaml")
