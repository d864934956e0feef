"""The examples of the documentation are run."""

import doctest

import pytest


@pytest.mark.parametrize("page", ["use-the-loss.md"])
def test_examples_give_what_they_show(repository, page):
    outcome = doctest.testfile(str(repository / "docs" / page), module_relative=False)
    assert outcome.attempted > 5
    assert outcome.failed == 0
