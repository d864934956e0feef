"""The queue of a study, with a function in place of a training."""

from collections import Counter

import optuna
import pytest

from multisk.errors import DivergedError, InputError
from multisk.files import digest, write_json
from multisk.resumable import Code
from multisk.sweep.space import grid, suggest
from multisk.sweep.storage import connect, opened
from multisk.sweep.study import _begun, _kept, _requeue, identity, work
from multisk.sweep.trial import DIVERGED, INDEX, seeds_of


class Worker:
    """Runs trials of a study; `fate(index)` may raise what befalls one."""

    def __init__(self, study, settings, fate=int):
        self.study, self.settings, self.fate = study, settings, fate
        self.begun = []

    def __call__(self, trial):
        point, index = suggest(trial, self.study), trial.user_attrs[INDEX]
        self.begun.append((index, tuple(point.values())))
        try:
            self.fate(index)
        except DivergedError:
            trial.set_user_attr(DIVERGED, True)
            raise
        value = float(sum(value for value in point.values() if not isinstance(value, str)))
        return [value, -value][: len(self.study.objectives)]

    def run(self, total=6):
        with opened(self.settings) as storage:
            kept = _kept(storage, "study", self.study)
            work(kept, storage, self.study, self, total, self.settings)
        return optuna.load_study(study_name="study", storage=connect(self.settings)).trials


def states(trials):
    return Counter(trial.state.name for trial in trials)


def once(error, index):
    """Let a trial end badly the first time."""
    left = [error]

    def fate(begun):
        if begun == index and left:
            raise left.pop()

    return fate


def test_each_point_of_a_grid_is_run_once(grid_study, optuna_settings):
    worker = Worker(grid_study, optuna_settings)
    trials = worker.run()
    assert states(trials) == {"COMPLETE": 6}
    assert [dict(trial.params) for trial in trials] == grid(grid_study)
    assert Worker(grid_study, optuna_settings).run() == trials, "a finished study went on"


def test_a_grid_that_is_gone_through_again_has_other_seeds(grid_study, optuna_settings):
    trials = Worker(grid_study, optuna_settings).run(total=15)
    assert states(trials) == {"COMPLETE": 15}
    runs = [(*trial.params.values(), seed) for trial in trials for seed in seeds_of(grid_study, trial.number)]
    assert len(set(runs)) == 30
    assert {seed for *_, seed in runs} == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("total", [2, 6])
def test_a_study_can_be_made_longer(grid_study, optuna_settings, total):
    Worker(grid_study, optuna_settings).run(total=2)
    worker = Worker(grid_study, optuna_settings)
    assert states(worker.run(total=total)) == {"COMPLETE": total}
    assert [index for index, _ in worker.begun] == list(range(2, total))


@pytest.mark.parametrize("kind", ["grid_study", "search"])
def test_a_killed_trial_is_run_again_under_its_index_and_with_its_point(kind, optuna_settings, request):
    study = request.getfixturevalue(kind)
    first = Worker(study, optuna_settings, once(KeyboardInterrupt(), 3))
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second = Worker(study, optuna_settings)
    trials = second.run()
    assert second.begun[0] == first.begun[-1]
    assert [index for index, _ in first.begun[:-1] + second.begun] == list(range(6))
    assert states(trials) == {"COMPLETE": 6, "FAIL": 1}


@pytest.mark.filterwarnings("ignore:Heartbeat")
@pytest.mark.parametrize("error", [OSError("disk full"), InputError("damaged"), KeyboardInterrupt()])
def test_a_point_that_an_error_ended_is_kept_while_others_go_on(search, optuna_settings, error):
    """What another worker found meanwhile would lead the sampler elsewhere."""

    def fate(index):
        if index == 3:
            kept = optuna.load_study(study_name="study", storage=connect(optuna_settings))
            kept.enqueue_trial({}, user_attrs={INDEX: 4})
            other = kept.ask()
            suggest(other, search)
            kept.tell(other, [9.0, 9.0])
            raise error

    first = Worker(search, optuna_settings, fate)
    with pytest.raises(type(error)) as caught:
        first.run()
    assert caught.value is error
    trials = optuna.load_study(study_name="study", storage=connect(optuna_settings)).trials
    (waiting,) = [trial for trial in trials if trial.state.name == "WAITING"]
    assert (waiting.user_attrs[INDEX], tuple(waiting.params.values())) == first.begun[-1]
    second = Worker(search, optuna_settings)
    done = [trial.user_attrs[INDEX] for trial in second.run() if trial.state.name == "COMPLETE"]
    assert second.begun[0] == first.begun[-1]
    assert sorted(done) == list(range(6))


@pytest.mark.filterwarnings("ignore:Heartbeat")
@pytest.mark.parametrize("ending", [None, OSError("disk full")])
def test_a_trial_that_another_worker_took_up_is_not_queued_again(grid_study, optuna_settings, ending):
    """It was only slow: what it comes to is left to the other."""
    left = [ending]

    def fate(index):
        if index == 1 and left:
            kept = optuna.load_study(study_name="study", storage=connect(optuna_settings))
            _requeue(kept, [trial for trial in kept.trials if trial.state.name == "RUNNING"])
            error = left.pop()
            if error:
                raise error

    worker = Worker(grid_study, optuna_settings, fate)
    if ending:
        with pytest.raises(OSError, match="disk full"):
            worker.run()
    trials = worker.run()
    assert states(trials) == {"COMPLETE": 6, "FAIL": 1}
    done = [trial.user_attrs[INDEX] for trial in trials if trial.state.name == "COMPLETE"]
    assert sorted(done) == list(range(6))


@pytest.mark.filterwarnings("ignore:Heartbeat")
def test_trials_of_a_worker_that_vanished_are_taken_up_at_once_on_sqlite(grid_study, optuna_settings):
    with opened(optuna_settings) as storage:
        kept = _kept(storage, "study", grid_study)
        kept.enqueue_trial(grid(grid_study)[4], user_attrs={INDEX: 4})
        suggest(kept.ask(), grid_study)
    assert states(kept.trials) == {"RUNNING": 1}
    worker = Worker(grid_study, optuna_settings.model_copy(update={"grace_seconds": 1000}))
    trials = worker.run()
    assert states(trials) == {"COMPLETE": 6, "FAIL": 1}
    assert sorted(index for index, _ in worker.begun) == list(range(6))


def test_a_search_that_was_stopped_proposes_what_it_would_have_proposed(search, optuna_settings, tmp_path):
    elsewhere = optuna_settings.model_copy(update={"storage": f"sqlite:///{tmp_path / 'other.db'}"})
    whole = [trial.params for trial in Worker(search, elsewhere).run(total=8)]
    for index in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            Worker(search, optuna_settings, once(KeyboardInterrupt(), index)).run(total=8)
    trials = Worker(search, optuna_settings).run(total=8)
    done = {t.user_attrs[INDEX]: t.params for t in trials if t.state.name == "COMPLETE"}
    assert [done[index] for index in range(8)] == whole
    assert len({tuple(params.values()) for params in whole}) == 8


def test_a_trial_that_diverges_fails_for_good_and_the_study_goes_on(grid_study, optuna_settings):
    def fate(index):
        if index == 2:
            raise DivergedError("not finite")

    assert states(Worker(grid_study, optuna_settings, fate).run()) == {"COMPLETE": 5, "FAIL": 1}
    again = Worker(grid_study, optuna_settings)
    again.run()
    assert again.begun == []


def test_a_mistake_ends_the_worker_and_the_trial_is_run_anew(grid_study, optuna_settings):
    with pytest.raises(InputError, match="features are missing"):
        Worker(grid_study, optuna_settings, once(InputError("features are missing"), 1)).run()
    trials = Worker(grid_study, optuna_settings).run()
    assert states(trials) == {"COMPLETE": 6, "FAIL": 1}
    done = [trial.user_attrs[INDEX] for trial in trials if trial.state.name == "COMPLETE"]
    assert sorted(done) == list(range(6))


def test_sqlite_serves_one_worker(optuna_settings):
    with opened(optuna_settings), pytest.raises(InputError, match=r"optuna\.storage") as caught:  # noqa: SIM117
        with opened(optuna_settings):
            pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "'nonsense' is no URL"),
        ("postgresql://nobody@127.0.0.1:1/none", "cannot be opened: .*refused"),
    ],
)
def test_a_storage_that_cannot_be_opened_is_named_in_one_line(optuna_settings, url, message):
    with (
        pytest.raises(InputError, match=message) as caught,
        opened(optuna_settings.model_copy(update={"storage": url})),
    ):
        pass
    assert str(caught.value).startswith("params.yaml: optuna.storage: ")
    assert "\n" not in str(caught.value)


def test_what_trials_depend_on_makes_another_study(params):
    study = params.sweep.studies["anchors"]
    before = identity(params, study, ["data"])

    def changed(section, **changes):
        return params.model_copy(update={section: getattr(params, section).model_copy(update=changes)})

    assert identity(params, study, ["other data"]) != before
    assert identity(changed("pretrain", batch_size=12), study, ["data"]) != before
    assert identity(changed("sweep", validation=0.25), study, ["data"]) != before
    assert identity(params, study.model_copy(update={"epochs": 99}), ["data"]) != before
    others = params.methods["contrastive"].model_copy(
        update={"contrastive": params.methods["contrastive"].contrastive.model_copy(update={"alpha": 2.0})}
    )
    assert identity(changed("optuna", grace_seconds=99), study, ["data"]) == before
    assert identity(changed("pretrain", epochs=99, seeds=(7,)), study, ["data"]) == before
    assert identity(params, study.model_copy(update={"trials": 24}), ["data"]) == before
    assert identity(changed("optuna", seed=99, startup_trials=99), study, ["data"]) == before
    of_other = params.model_copy(update={"methods": {**params.methods, "contrastive": others}})
    assert identity(of_other, study, ["data"]) == before
    assert identity(of_other, params.sweep.studies["when"], ["data"]) != identity(
        params, params.sweep.studies["when"], ["data"]
    )


def test_what_a_search_proposes_by_makes_another_study(params):
    search = params.sweep.studies["weights"]
    assert search.sampler == "tpe"
    changes = [{}, {"seed": 99}, {"startup_trials": 99}, {"grace_seconds": 99}, {"importance": "ped_anova"}]
    names = [
        identity(params.model_copy(update={"optuna": params.optuna.model_copy(update=change)}), search, [])
        for change in changes
    ]
    assert len(set(map(digest, names))) == 3
    assert names[0] == names[3] == names[4]


@pytest.fixture
def begun_by(tmp_path, monkeypatch):
    """Begin a study by some code, as far as its record; returns its folder."""
    monkeypatch.chdir(tmp_path)

    def begin(code, status="running"):
        folder = _begun("anchors", ["settings"], code)
        write_json(folder / "run.json", {"status": status, "code": [{"digest": code.digest}]})
        return folder

    return begin


def test_a_study_that_other_code_began_stops_or_goes_on_as_params_yaml_says(begun_by):
    old, new = Code({"losses/consistency.py": "1"}), {"losses/consistency.py": "2"}
    folder = begun_by(old)
    assert begun_by(old) == folder
    with pytest.raises(InputError, match=r"losses/consistency\.py changed"):
        begun_by(Code(new))
    assert begun_by(Code(new, "continue")) == folder


def test_a_study_that_is_begun_afresh_leaves_the_older_one_beside_it(begun_by):
    old, new = Code({"losses/consistency.py": "1"}), Code({"losses/consistency.py": "2"}, "restart")
    folder = begun_by(old)
    assert begun_by(new) != folder
    assert folder.is_dir()


def test_a_finished_study_of_other_code_stays_beside_the_new_one(begun_by):
    old, new = Code({"losses/consistency.py": "1"}), Code({"losses/consistency.py": "2"})
    folder = begun_by(old, "finished")
    assert begun_by(new) != folder
    assert begun_by(new) == begun_by(new)
