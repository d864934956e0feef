"""What a task makes of embeddings."""

from typing import get_args

import numpy as np

from multisk.evaluation.embed import EmbeddedSet
from multisk.evaluation.ranking import chance_level
from multisk.evaluation.retrieval import retrieve
from multisk.evaluation.tasks import TASKS
from multisk.settings.evaluation import Task


def test_every_task_that_params_yaml_may_name_can_be_measured():
    assert set(TASKS) == set(get_args(Task))


def test_retrieval_is_judged_by_recall_of_text_to_video_and_audio():
    rng = np.random.default_rng(0)
    joint = {key: rng.normal(size=(40, 8)) for key in ("t", "v", "a", "v+a")}
    embedded = EmbeddedSet([f"c{i}" for i in range(40)], [""] * 40, joint, {}, {})
    task = TASKS["retrieval"]
    found = task.measure(embedded, 50)
    assert found.metrics == retrieve(embedded, 50).metrics
    assert task.headline(found.metrics) == found.metrics["t2v+a"]["R10"]
    assert task.chance(40, 50) == chance_level(40, 50)
