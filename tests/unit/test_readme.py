"""The README promises only what is there."""

import re
from pathlib import Path

import yaml

import twin
from twin.cli import app
from twin.scenario import parse_scenario

ROOT = Path(twin.__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_install_and_tests_are_one_line_each() -> None:
    install, tests = blocks("sh")
    assert install.strip().endswith("twin run scenarios/quickstart.yaml")
    assert ".venv/bin/python -m pytest" in tests
    assert all("\n" not in command.strip() for command in (install, tests))


def test_the_scenario_in_it_is_good() -> None:
    (scenario,) = blocks("yaml")
    assert parse_scenario(scenario).arm_names == ("flat", "tod")


def test_the_commands_in_it_are_all_there_are() -> None:
    named = {name.replace("-", "_") for name in re.findall(r"^\| `twin ([\w-]+)", README, flags=re.MULTILINE)}
    functions = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert named == functions


def test_the_version_is_one() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == twin.__version__
    assert f"## {twin.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
