"""A scenario written back in full, and its identity."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from twin.scenario import yaml_text
from twin.scenario.names import BIHAR_NORMAL
from twin.scenario.schema import Scenario


class _Dumper(yaml.SafeDumper):
    """Quotes every text that this project's reader or an ordinary YAML reader would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value out: a resolved scenario holds no aliases."""
        return True


for _tag, _pattern in (("int", yaml_text.INTEGER), ("float", yaml_text.FLOAT)):
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, list("-+.0123456789"))


def dump_resolved(scenario: Scenario) -> str:
    """The scenario with every default filled in, as YAML that loads to the same scenario."""
    return yaml.dump(_plain(scenario.resolved()), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def scenario_hash(scenario: Scenario) -> str:
    """SHA-256 of everything that decides results: of two scenarios with equal hashes one may resume the other's run.

    A file that the scenario names (weather, a network, its mapping, profiles), or a module of models, counts by its
    content, not by its path.

    Raises
    ------
    OSError
        If a file that the scenario names is gone.
    """
    data = _plain(scenario.resolved())
    if data["weather"]["year"] != BIHAR_NORMAL:
        _by_content(data["weather"], "year")
    _by_content(data["grid"], "network")
    _by_content(data["grid"].get("mapping", {}), "file")
    _by_content(data.get("demand", {}), "profiles")
    data["meters"]["models"] = [_module_hash(name) for name in data["meters"]["models"]]
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), default=_iso)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _by_content(section: dict[str, Any], key: str) -> None:
    """Put the hash of a file in the place of its path, if there is one."""
    if key in section:
        section[key] = hashlib.sha256(Path(section[key]).read_bytes()).hexdigest()


def _module_hash(name: str) -> str:
    """The hash of a module's file; of one without a file that can be found, its name."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None or not Path(found.origin).is_file():
        return name
    return hashlib.sha256(Path(found.origin).read_bytes()).hexdigest()


def _plain(value: Any) -> Any:
    """``value`` with tuples as lists and mappings as plain dicts."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def _iso(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a scenario")
