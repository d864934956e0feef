import subprocess
import sys

import pytest

CORE = ("multisk.sinkhorn", "multisk.models", "multisk.losses", "multisk.training")
HEAVY = ("mlflow", "dvc", "optuna", "av", "librosa", "gensim", "pandas", "transformers")


def modules_after(statement):
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_torch_alone(module):
    loaded = modules_after(f"import {module}")
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("module", CORE)
def test_the_core_does_without_the_tools_of_the_pipeline(module):
    """On a GPU box that has none of them, importing any would fail."""
    blocked = "\n".join(f"sys.modules[{name!r}] = None" for name in HEAVY)
    assert module in modules_after(f"{blocked}\nimport {module}")


def test_the_command_line_starts_without_torch():
    assert not modules_after("import multisk.cli") & {"torch", *HEAVY}


def test_the_public_names_are_loaded_on_first_use():
    assert "torch" not in modules_after("import multisk")
    loaded = modules_after("from multisk import Anchors, SSPCLoss, multi_sinkhorn")
    assert {"multisk.sinkhorn", "multisk.losses", "multisk.models.anchors"} <= loaded


def test_an_unknown_name_is_an_attribute_error():
    import multisk

    with pytest.raises(AttributeError, match="nothing"):
        _ = multisk.nothing
