"""Models of meters that a user brings: functions of arrays, registered by name, that a datasheet's section asks for.

A module registers its functions when it is imported::

    from twin.meters.variants import register

    register("metrology", "saturating", saturating_kwh, numbers=("knee_frac",))

and a scenario names the module (``meters: {models: [my_package.my_models]}``), so that every process imports it. A
datasheet's section then says ``model: saturating`` and holds the function's numbers. What a function gets, shapes
(n,) for n meters of one type, (n, n_zones) by tariff zone, (n_zones,) and, last, (len(numbers),):

========= ============================================================================= ==============================
section   arguments                                                                     gives
========= ============================================================================= ==============================
metrology kwh through the meter (n, n_zones), hours of each zone (n_zones,), kW at      recorded kWh (n, n_zones), 0
          basic current (n,), tan(phi) (n,), errors (n, 5) as in                        where nothing is counted
          `twin.meters.metrology`, years of age (n,), K above reference (n, n_zones),
          numbers
clock     crystal ppm (n,), mean (T - 25 C)^2 (n,), years of age (n,), numbers          rate, ppm (n,)
failure   years of age (n,), frailty (n,), stress of the day (n,), numbers              chance to fail within the day
                                                                                        (n,)
========= ============================================================================= ==============================

Row i of what it gives may hang on row i of what it gets alone: shards cut the rows anywhere. It must be pure.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.errors import ModelError, Problem

SECTIONS = ("metrology", "clock", "failure")
"""Sections of a datasheet whose model a function may replace."""
Function = Callable[..., NDArray[np.float64]]


class Variant(NamedTuple):
    """A registered function."""

    section: str
    name: str
    function: Function
    numbers: tuple[str, ...]
    """Names of the datasheet's numbers that it takes, in its order."""

    def __call__(self, shape: tuple[int, ...], *arrays: NDArray[Any]) -> NDArray[np.float64]:
        """What the function says, of a given shape.

        Raises
        ------
        ModelError
            If it says something of another shape, or something that is no number or negative where none may be.
        """
        out = np.asarray(self.function(*arrays), np.float64)
        what = ""
        if out.shape != shape:
            what = f"gives an array of shape {out.shape} where {shape} is asked for"
        elif not np.isfinite(out).all():
            what = "gives values that are not finite"
        elif self.section != "clock" and (out < 0.0).any():
            what = "gives negative values"
        elif self.section == "failure" and (out > 1.0).any():
            what = "gives probabilities above 1"
        if what:
            where = getattr(self.function, "__module__", "a model")
            fix = f"repair its function: docs/meters.md tells what '{self.section}' functions get and give"
            raise ModelError([Problem(where, f"{self.section}.{self.name}", what, fix)])
        return out


_registered: dict[tuple[str, str], Variant] = {}


def register(section: str, name: str, function: Function, numbers: Iterable[str] = ()) -> None:
    """Let datasheets ask for a function by name.

    Registering the same function again changes nothing, so that a module may be imported any number of times.

    Raises
    ------
    ModelError
        If the section has no models, or another function has the name.
    """
    variant = Variant(section, name, function, tuple(numbers))
    where = getattr(function, "__module__", "a model")
    if section not in SECTIONS:
        what, fix = f"no section '{section}' of a datasheet takes models", f"use {', '.join(SECTIONS)}"
        raise ModelError([Problem(where, f"{section}.{name}", what, fix)])
    other = _registered.get((section, name), variant)
    if _home(other) != _home(variant):
        what, fix = f"{_home(other)} is registered under this name already", "take another name"
        raise ModelError([Problem(where, f"{section}.{name}", what, fix)])
    _registered[section, name] = variant


def _home(variant: Variant) -> str:
    function = variant.function
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"


def registered(section: str) -> list[str]:
    """Names that a section may ask for."""
    return sorted(name for where, name in _registered if where == section)


def find(section: str, name: str) -> Variant | None:
    """The function of a name; None where nobody has registered it."""
    return _registered.get((section, name))


def load(modules: Iterable[str]) -> None:
    """Import the modules that register models, in this process.

    Raises
    ------
    ModelError
        Naming the module that cannot be imported.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            fix = "install it in the environment of every worker, or put its folder on PYTHONPATH"
            raise ModelError([Problem(module, "meters.models", f"cannot be imported: {error}", fix)]) from error
