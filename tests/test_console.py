import errno
import signal
import subprocess
import sys

import pytest

from multisk.console import answering
from multisk.errors import InputError
from multisk.stopping import Terminated


def ending(error):
    def fails():
        raise error

    with pytest.raises(SystemExit) as caught:
        answering(fails)()
    return caught.value.code


def test_bad_input_is_one_line(capsys):
    assert ending(InputError("a.yaml: key:\n wrong")) == 2
    assert capsys.readouterr().err == "error: a.yaml: key: wrong\n"


def test_a_full_disk_is_named(capsys):
    assert ending(OSError(errno.ENOSPC, "No space left on device", "data/x")) == 2
    assert capsys.readouterr().err.startswith("error: data/x: no space left")


def test_an_interrupt_has_its_own_code(capsys):
    assert ending(KeyboardInterrupt()) == 130
    assert "goes on" in capsys.readouterr().err


def test_a_schedulers_signal_has_its_own_code(capsys):
    assert ending(Terminated()) == 143
    assert "goes on" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_program_that_is_terminated_cleans_up(number):
    program = """
import os
from multisk import console

def work(number: int):
    try:
        os.kill(os.getpid(), number)
    finally:
        print("cleaned up")

console.run(work)
"""
    done = subprocess.run([sys.executable, "-c", program, str(int(number))], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (143, "cleaned up\n"), done.stderr


def test_what_is_wrong_with_a_file_is_one_line(capsys, tmp_path):
    (tmp_path / "params.yaml").touch()

    def fails():
        (tmp_path / "params.yaml" / "features").mkdir()

    with pytest.raises(SystemExit) as caught:
        answering(fails)()
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/params.yaml/features: Not a directory\n"
    assert ending(FileExistsError(errno.EEXIST, "File exists", b"a.yaml")) == 2
    assert capsys.readouterr().err == "error: a.yaml: File exists\n"


def test_other_errors_are_not_hidden():
    def fails():
        raise PermissionError(errno.EACCES, "no")

    with pytest.raises(PermissionError):
        answering(fails)()


def test_a_command_that_misses_a_package_names_its_extra(repository):
    code = "import sys; sys.modules['av'] = None; from multisk.cli import main; main()"
    command = [sys.executable, "-c", code, "extract", "mine"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    message = "error: av is not installed; pip install 'multisk[media]'\n"
    assert (done.returncode, done.stderr) == (2, message)


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("optuna", "experiments"),
        ("seaborn", "report"),
        ("hypothesis", "dev"),
        ("grpc.aio", "all"),  # which only other packages need
    ],
)
def test_an_extra_is_the_one_that_asks_for_the_package(capsys, module, extra):
    assert ending(ModuleNotFoundError(f"No module named {module!r}", name=module)) == 2
    package = module.partition(".")[0]
    assert capsys.readouterr().err == f"error: {package} is not installed; pip install 'multisk[{extra}]'\n"


def test_a_module_of_our_own_that_is_missing_is_a_mistake():
    def fails():
        raise ModuleNotFoundError("No module named 'multisk.nothing'", name="multisk.nothing")

    with pytest.raises(ModuleNotFoundError):
        answering(fails)()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["use", "nothing"], 2, "profiles/nothing.yaml: no such profile"),
        (["nothing"], 2, "No such command"),
        (["check"], 0, "params.yaml: profile"),
        (["search", "onion", "--top", "0"], 2, "Invalid value for '--top'"),
        (["search", "onion", "--top", "-1"], 2, "Invalid value for '--top'"),
        (["search", "onion", "--start", "-3"], 2, "Invalid value for '--start'"),
        (["search", "onion", "--html", "."], 2, ".: is a folder; name the page's file"),
        (["index", "nowhere", "--model", "x"], 2, "nowhere: no such folder"),
        (["index", "params.yaml", "--model", "x"], 2, "params.yaml: is a file; name its folder"),
        (["search", "onion", "--index", "params.yaml"], 2, "params.yaml"),
    ],
)
def test_the_command_line_answers_in_words(repository, arguments, code, said):
    command = [sys.executable, "-m", "multisk", *arguments]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
