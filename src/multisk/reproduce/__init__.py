"""A recorded run again: what it was, how to repeat it, and whether the numbers are the same."""

from multisk.reproduce.again import run_again
from multisk.reproduce.compare import Comparison, compare
from multisk.reproduce.recorded import Recorded, find_run

__all__ = ["Comparison", "Recorded", "compare", "find_run", "run_again"]
