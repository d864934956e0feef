"""What a benchmark asks of a model: how embeddings become metrics, and which number stands for them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from multisk.evaluation.embed import EmbeddedSet
from multisk.evaluation.headline import headline
from multisk.evaluation.ranking import Metrics, chance_level
from multisk.evaluation.retrieval import Retrieval, retrieve
from multisk.settings.evaluation import Task


class Measures(NamedTuple):
    """How a task is measured.

    measure: from the embeddings of the test clips and the size of the whole test set
    chance: the metrics that guessing reaches in expectation, from how many clips are there and that size
    metric: the one that stands for all, of the direction that stands for a model
    """

    measure: Callable[[EmbeddedSet, int | None], Retrieval]
    chance: Callable[[int, int | None], Metrics]
    metric: str

    def headline(self, metrics: Mapping[str, Metrics]) -> float:
        """Return the number by which a model is judged where one is needed."""
        return metrics[headline(metrics)][self.metric]


TASKS: Mapping[Task, Measures] = {"retrieval": Measures(retrieve, chance_level, "R10")}
