"""The command line: fast to start, explicit, one clear message for a mistake."""

import inspect
import json
import shlex
import statistics
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

from pellucid import cli
from pellucid.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_is_an_argument_of_the_function_and_no_argument_is_forgotten(name):
    command = cli.COMMANDS[name]
    module, _, function = command.function.partition(":")
    parameters = inspect.signature(getattr(import_module(f"pellucid.{module}"), function)).parameters
    options = command.options.split()
    assert {option.strip("[]") for option in options} == set(parameters)
    required = {key for key, parameter in parameters.items() if parameter.default is inspect.Parameter.empty}
    assert required <= {option.strip("[]") for option in options}
    assert {option for option in options if option.startswith("[")} >= {
        f"[{key}]" for key in set(parameters) - required
    }


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([*name.split(), "--help"])
    assert cli.COMMANDS[name].help in capsys.readouterr().out


def test_help_imports_nothing_heavy():
    code = "import sys; from pellucid import cli; cli._parser(); print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "torch", "xarray", "zarr", "pydantic", "yaml"} & set(loaded)


def test_a_mistake_is_one_line_and_exit_1(capsys, toy):
    status = cli.main(shlex.split("simulate --system tyo --seed 1 --params '{}' --output x"))
    said = capsys.readouterr().err
    assert status == 1
    assert said.count("\n") == 1
    assert "pellucid simulate: system 'tyo': expected one of toy, twin" in said


def test_debug_shows_the_error_itself(toy):
    with pytest.raises(ConfigError):
        cli.main(shlex.split("--debug simulate --system tyo --seed 1 --params '{}' --output x"))


@pytest.mark.parametrize("params", ["{", "[1]"])
def test_params_must_be_a_mapping(params, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["fetch", "--params", params, "--output", "x"])
    assert "--params" in capsys.readouterr().err


def test_an_interrupt_is_exit_130(monkeypatch, capsys):
    def stop(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", stop)
    assert cli.main(["schema"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_command_says_what_it_wrote(tmp_path, capsys, toy):
    arguments = ["--system", "toy", "--seed", "1", "--params", json.dumps({"kind": "images"})]
    assert cli.main(["simulate", *arguments, "--output", str(tmp_path / "x")]) == 0
    assert f"wrote {tmp_path / 'x'} (2 files, " in capsys.readouterr().err


def test_doctor_names_what_is_missing(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PELLUCID_DATA", str(tmp_path / "none"))
    assert cli.main(["doctor"]) == 1
    said = capsys.readouterr()
    assert "torch" in said.out
    assert f"no the folder PELLUCID_DATA={tmp_path / 'none'}" in said.err


@pytest.mark.slow
def test_help_takes_less_than_a_third_of_a_second():
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "pellucid.cli", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    assert statistics.median(times) < 0.33
