"""A stand-in for the demand model in tests of the grid: expected kW of every kind through a hot June day (assumed)."""

from functools import lru_cache

import numpy as np

from twin.datapack import kinds
from twin.grid.state import StateGrid, build_state

_HOURS = (0, 2, 5, 7, 10, 13, 16, 18, 20, 22, 24)
_SHAPES = {
    "home": (0.80, 0.72, 0.62, 0.55, 0.50, 0.55, 0.52, 0.62, 0.92, 1.00, 0.80),
    "shop": (0.25, 0.25, 0.25, 0.30, 0.75, 0.88, 0.85, 1.00, 1.00, 0.45, 0.25),
    "industry": (0.30, 0.30, 0.35, 0.80, 1.00, 0.90, 0.95, 1.00, 0.60, 0.40, 0.30),
    "farm": (0.25, 0.25, 0.40, 0.80, 1.00, 1.00, 0.80, 0.40, 0.25, 0.40, 0.25),
    "water": (0.10, 0.10, 0.40, 1.00, 0.40, 0.60, 1.00, 1.00, 0.30, 0.10, 0.10),
    "light": (1.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.3, 1.0, 1.0, 1.0),
    "ht": (0.85, 0.85, 0.85, 0.90, 1.00, 1.00, 1.00, 1.00, 0.95, 0.90, 0.85),
    "traction": (0.9, 0.6, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9),
}
_PEAK_KW = {
    "home_rural_c1": 0.09, "home_rural_c2": 0.14, "home_rural_c3": 0.22, "home_rural_c4": 0.36, "home_rural_c5": 0.64,
    "home_urban_c1": 0.12, "home_urban_c2": 0.21, "home_urban_c3": 0.29, "home_urban_c4": 0.45, "home_urban_c5": 0.77,
    "shop_village": 0.20, "shop_town": 0.55, "showroom": 5.0, "office": 1.2, "school": 0.8, "eatery": 2.2,
    "telecom_tower": 3.2, "mill_village": 2.6, "rice_mill": 9.0, "cold_store": 22.0, "workshop": 3.5,
    "farm_pump": 0.65, "ward_pump": 0.9, "water_works": 22.0, "street_light": 5.5,
    "ht_mill": 90.0, "ht_cold_store": 80.0, "ht_institution": 120.0, "ht_works": 220.0, "eht_works": 8000.0,
    "traction": 9500.0,
}  # fmt: skip


def planning_kw() -> np.ndarray:
    """Shape (n_kinds, 96). [kW]"""
    hours = np.arange(96) / 4.0
    return np.array([_PEAK_KW[k.name] * np.interp(hours, _HOURS, _SHAPES[k.group]) for k in kinds()])


@lru_cache(maxsize=4)
def planned_state(seed: int = 1) -> StateGrid:
    """The state's grid for the stand-in demand."""
    return build_state(seed, planning_kw())
