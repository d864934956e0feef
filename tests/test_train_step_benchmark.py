import json
import subprocess
import sys

import pytest

from multisk.params.profiles import use


@pytest.mark.parametrize("method", ["contrastive", "eao", "sspc"])
def test_the_parts_of_a_step_are_timed(repository, tmp_path, method):
    params = tmp_path / "params.yaml"
    use("smoke", params, repository / "profiles")
    command = [sys.executable, "benchmarks/train_step.py", "--params", str(params), "--json"]
    command += ["--method", method, "--batch", "8", "--steps", "1", "--device", "cpu"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    parts = [found[part] for part in ("forward", "losses", "backward", "optimizer")]
    assert all(seconds > 0 for seconds in parts)
    assert sum(parts) <= found["step"] * 1.01
    assert found["flops"] > 0
