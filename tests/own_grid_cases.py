"""A small network of a user's with its mapping and profiles, as files that tests spoil one by one."""

from __future__ import annotations

import runpy
from functools import cached_property
from pathlib import Path
from shutil import copyfile
from typing import Any

import pandapower as pp
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parent.parent
MAKER = ROOT / "scenarios" / "data" / "make_village.py"
SCENARIO = """\
name: village
grid:
  network: village.json
  district: Gaya
  mapping: village_loads.csv
time: {start: 2026-06-10, days: 1, step_minutes: 60}
tariff: bihar-2026-27
experiment:
  arms:
    flat: {}
    tod:
      tariff:
        time_of_day:
          applies_to: gross
          solar: {hours: "09-17", multiplier: 0.80}
          peak: {hours: "17-23", multiplier: 1.20}
output: {readings: {consumers: 200}, tables: all}
"""


def maker() -> dict[str, Any]:
    """The functions of the script that makes the shipped example."""
    return runpy.run_path(str(MAKER))


class Village:
    """The example's files in a folder of their own, and a scenario beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for shipped in ("village.json", "village_loads.csv", "village_profiles.parquet"):
            copyfile(MAKER.parent / shipped, folder / shipped)
        self.profiles = pq.read_table(folder / "village_profiles.parquet")
        self.scenario = folder / "village.yaml"
        self.write(SCENARIO)

    @cached_property
    def net(self) -> pp.pandapowerNet:
        """The network, to be spoiled."""
        return pp.from_json(str(self.folder / "village.json"))

    def write(self, text: str, *, old: str = "", new: str = "") -> Path:
        """Write the scenario with one text replaced."""
        assert not old or old in text
        self.scenario.write_text(text.replace(old, new) if old else text)
        return self.scenario

    def change(self, old: str, new: str) -> Path:
        """The scenario with one text replaced."""
        return self.write(SCENARIO, old=old, new=new)

    def map(self, *rows: str, head: str = "load,consumers,category") -> Path:
        """Another mapping."""
        path = self.folder / "village_loads.csv"
        path.write_text("\n".join([head, *rows]) + "\n")
        return path

    def save_net(self) -> None:
        """Write the changed network."""
        pp.to_json(self.net, str(self.folder / "village.json"))

    def with_profiles(self, table: pa.Table) -> Path:
        """The scenario with these profiles."""
        pq.write_table(table, self.folder / "own.parquet")
        return self.change("time:", "demand: {profiles: own.parquet}\ntime:")
