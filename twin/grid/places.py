"""Where things stand: districts and their spellings, block points and PSS points.

The facts have no block coordinates. Stated rule (assumed): the block of the headquarters stands at the headquarters'
point; the others fill a disc of the district's area around its centroid in a sunflower pattern, jittered, and take its
points from north-west to south-east in census order, which numbers blocks roughly that way.
"""

from __future__ import annotations

import math
from difflib import get_close_matches
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from twin.datapack import read_rows
from twin.errors import Problem, ScenarioError
from twin.grid.settings import synthesis
from twin.grid.tables import District, DistrictAlias, blocks, districts
from twin.streams import Stream, uniforms

KM_PER_DEGREE = 111.195
"""Length of a degree of latitude on a sphere of 6,371 km. [km]"""
_GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))

Points = NDArray[np.float64]
"""Latitude and longitude in degrees, shape (n, 2)."""


@lru_cache(maxsize=1)
def _spellings() -> dict[str, str]:
    """District by every known spelling, in lower case and without punctuation."""
    known = {_plain(row.name): row.name for row in districts()}
    for alias in read_rows("district_aliases", DistrictAlias):
        known.setdefault(_plain(alias.alias), alias.district)
    return known


def _plain(name: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def district_suggestions(name: str, most: int = 3) -> list[str]:
    """Districts whose spelling is close to ``name``, best first; empty if none is."""
    near = get_close_matches(_plain(name), _spellings(), n=2 * most, cutoff=0.6)
    return list(dict.fromkeys(_spellings()[key] for key in near))[:most]


def resolve_district(name: str) -> str:
    """The district's name in this data pack, from any of its spellings.

    Raises
    ------
    ScenarioError
        If no spelling matches; the fix names the closest ones.
    """
    found = _spellings().get(_plain(name))
    if found is None:
        near = district_suggestions(name)
        meant, known = " or ".join(f"'{n}'" for n in near), ", ".join(district_names())
        fix = f"did you mean {meant}?" if near else f"use one of {known}"
        raise ScenarioError([Problem("grid.resolve.districts", "", f"no district is called '{name}'", fix)])
    return found


def district_names() -> list[str]:
    """All districts, in the order of their codes."""
    return [row.name for row in districts()]


def offset(points: Points, north_km: NDArray[np.float64], east_km: NDArray[np.float64]) -> Points:
    """``points`` moved by kilometres north and east (flat-earth approximation, good within a district)."""
    latitude = points[:, 0] + north_km / KM_PER_DEGREE
    longitude = points[:, 1] + east_km / (KM_PER_DEGREE * np.cos(np.radians(points[:, 0])))
    return np.stack([latitude, longitude], axis=1)


def distance_km(a: Points, b: Points) -> NDArray[np.float64]:
    """Distances between all points of ``a`` (n) and ``b`` (m), equirectangular. Shape (n, m). [km]"""
    middle = np.radians((a[:, None, 0] + b[None, :, 0]) / 2)
    north = a[:, None, 0] - b[None, :, 0]
    east = (a[:, None, 1] - b[None, :, 1]) * np.cos(middle)
    return KM_PER_DEGREE * np.hypot(north, east)


def disc(n: int, radius_km: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``n`` points that fill a disc evenly (Vogel's sunflower): kilometres north and east of its centre."""
    k = np.arange(n)
    r, angle = radius_km * np.sqrt((k + 0.5) / max(n, 1)), k * _GOLDEN_ANGLE
    return r * np.cos(angle), r * np.sin(angle)


def block_points(seed: int) -> Points:
    """Points of all blocks by the rule above. Shape (534, 2)."""
    codes = district_names()
    of_district = np.array([codes.index(row.district) for row in blocks()])
    points = np.empty((len(of_district), 2))
    for code, district in enumerate(districts()):
        rows = np.flatnonzero(of_district == code)
        points[rows] = _points_in(seed, district, rows)
    return points


def _points_in(seed: int, district: District, rows: NDArray[np.int64]) -> Points:
    """Points of one district's blocks (rows of the block table)."""
    rule = synthesis().places
    head = [blocks()[row].block for row in rows].index(district.headquarters_block)
    n = len(rows)
    radius = rule.block_spread * math.sqrt(district.area_km2 / math.pi)
    north, east = disc(n, radius)
    centroid = np.array([[district.centroid_latitude, district.centroid_longitude]])
    at = offset(np.repeat(centroid, n, axis=0), north, east)
    home = np.array([[district.latitude, district.longitude]])
    taken = int(distance_km(at, home)[:, 0].argmin())
    free = np.delete(at, taken, axis=0)
    free = free[np.argsort(free[:, 1] - free[:, 0], kind="stable")]  # north-west first
    step = rule.block_jitter * radius / math.sqrt(n)
    others = np.delete(rows, head)
    jitter = [step * (2.0 * uniforms(seed, Stream.BLOCK_PLACE, others, index) - 1.0) for index in (0, 1)]
    free = offset(free, *jitter)
    return np.insert(free, head, home[0], axis=0)


def pss_points(seed: int, first: NDArray[np.int64], block: Points, area_km2: NDArray[np.float64]) -> Points:
    """Points of all PSSs around their block's point; the first of a block (the town's) stands nearest to it.

    ``first``: start of each block's PSSs and the end, shape (n_blocks + 1,).
    """
    share = synthesis().places.pss_spread
    counts = np.diff(first)
    rows = np.arange(first[-1])
    of_block = np.repeat(np.arange(len(counts)), counts)
    place = rows - first[of_block]
    r = share * np.sqrt(area_km2[of_block] / math.pi) * np.sqrt((place + 0.25) / counts[of_block])
    turn = 2.0 * math.pi * uniforms(seed, Stream.PSS_PLACE, np.arange(len(counts)))[of_block]
    wobble = 0.8 * (uniforms(seed, Stream.PSS_PLACE, rows, 1) - 0.5)
    angle = turn + place * _GOLDEN_ANGLE + wobble
    return offset(block[of_block], r * np.cos(angle), r * np.sin(angle))
