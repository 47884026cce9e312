"""Impedances of conductors, services, transformers and lines, per unit as the power-flow kernels take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twin.units import LV_BASE_KVA, LV_BASE_V

LV_BASE_OHM = LV_BASE_V**2 / (1000 * LV_BASE_KVA)
"""Impedance base at LV. [ohm]"""
VACUUM_OHM_PER_KM_HZ = 2 * np.pi * 2e-4
"""mu0 / (2 pi) x 2 pi f per hertz: reactance of one unit of ln(distance ratio). [ohm/km/Hz]"""
PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""Order of the six distinct elements of a segment matrix: aa, ab, ac, bb, bc, cc."""


def segment_matrix(
    r_ohm_km: ArrayLike,
    x_ohm_km: ArrayLike,
    length_km: ArrayLike,
    *,
    r_neutral_ohm_km: ArrayLike,
    x_neutral_ohm_km: ArrayLike,
    spacing_m: ArrayLike | None = None,
    x_spacing_m: float | None = None,
    frequency_hz: float | None = None,
) -> NDArray[np.float32]:
    """Four-wire segments with the neutral eliminated exactly, on the LV base.

    ``Z'pq = Zpq - Zpn - Znq + Znn`` for phase-to-neutral voltages. Currents sum to zero, so that an earth return
    drops out and only ratios of distances matter [1]_.

    Parameters
    ----------
    r_ohm_km, x_ohm_km : scalar or array, shape (n,)
        Resistance of a phase conductor and its reactance in a balanced circuit (self minus mutual).
    length_km : scalar or array, shape (n,)
        Length of the segments.
    r_neutral_ohm_km, x_neutral_ohm_km : scalar or array, shape (n,)
        The same of the neutral conductor.
    spacing_m : array, shape (4, 4), optional
        Distances between conductors a, b, c, n; the diagonal is not read. Without it all mutual terms are alike, as
        in a bundled (AB) cable: ``Z'pp = z + zn``, ``Z'pq = zn``.
    x_spacing_m : float, optional
        Mean spacing that both reactances are stated for; with ``spacing_m`` only.
    frequency_hz : float, optional
        With ``spacing_m`` only.

    Returns
    -------
    z_pu : float32 array, shape (n, 12)
        (re, im) of aa, ab, ac, bb, bc, cc.

    Raises
    ------
    ValueError
        Spacing without its frequency and reference spacing.

    References
    ----------
    .. [1] Kersting, Distribution System Modeling and Analysis, chapter 4 (series impedance of overhead lines).
    """
    z, zn, length = np.broadcast_arrays(
        np.asarray(r_ohm_km) + 1j * np.asarray(x_ohm_km),
        np.asarray(r_neutral_ohm_km) + 1j * np.asarray(x_neutral_ohm_km),
        np.atleast_1d(np.asarray(length_km, float)),
    )
    excess = np.zeros((3, 3))
    if spacing_m is not None:
        if x_spacing_m is None or frequency_hz is None:
            raise ValueError("segment_matrix: spacing_m needs x_spacing_m and frequency_hz")
        excess = frequency_hz * VACUUM_OHM_PER_KM_HZ * _log_ratios(np.asarray(spacing_m, float), x_spacing_m)
    out = np.empty((len(length), 12), np.float32)
    for column, (p, q) in enumerate(PAIRS):
        element = (zn + (z if p == q else 0) + 1j * excess[p, q]) * length / LV_BASE_OHM
        out[:, 2 * column], out[:, 2 * column + 1] = element.real, element.imag
    return out


def primitive_matrix(
    r_ohm_km: float,
    x_ohm_km: float,
    *,
    r_neutral_ohm_km: float,
    x_neutral_ohm_km: float,
    spacing_m: NDArray[np.float64] | None = None,
    x_spacing_m: float | None = None,
    frequency_hz: float | None = None,
) -> NDArray[np.complex128]:
    """Series impedance of conductors a, b, c, n as other programs take it, shape (4, 4). [ohm/km]

    Arguments as for `segment_matrix`, which eliminates the neutral from this very matrix. Self terms are those of a
    balanced circuit at the reference spacing, mutual terms ``-j f mu0 ln(D / x_spacing)``: a return path at that
    spacing. Any term common to all elements, such as an earth return, drops out where currents sum to zero.
    """
    if spacing_m is not None and (x_spacing_m is None or frequency_hz is None):
        raise ValueError("primitive_matrix: spacing_m needs x_spacing_m and frequency_hz")
    own = np.array([r_ohm_km + 1j * x_ohm_km] * 3 + [r_neutral_ohm_km + 1j * x_neutral_ohm_km])
    out = np.diag(own)
    if spacing_m is not None and x_spacing_m is not None and frequency_hz is not None:
        apart = np.where(np.eye(4, dtype=bool), x_spacing_m, spacing_m)
        out = out - 1j * frequency_hz * VACUUM_OHM_PER_KM_HZ * np.log(apart / x_spacing_m)
    return out


def _log_ratios(spacing_m: NDArray[np.float64], x_spacing_m: float) -> NDArray[np.float64]:
    """What real distances add to alike ones: ln of D / x_spacing, combined as Z' is. [-]"""
    log = np.log(np.where(np.eye(4, dtype=bool), x_spacing_m, spacing_m) / x_spacing_m)
    return -log[:3, :3] + log[:3, 3:] + log[3:, :3]


def dt_impedance_pu(
    rating_kva: ArrayLike, z_pct: ArrayLike, load_loss_w: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Series resistance and reactance per phase of a three-phase DT on the LV base, from rating and short-circuit data.

    ``|z| = z_pct / 100``, ``r = load loss / rating`` of the rating; one phase carries a third of it. Shapes as given.
    A reactance cannot be below zero: data whose load loss exceeds the impedance raise.

    Raises
    ------
    ValueError
        Load loss above the short-circuit impedance.
    """
    rating = np.asarray(rating_kva, float)
    z, r = np.asarray(z_pct, float) / 100, np.asarray(load_loss_w, float) / 1000 / rating
    if np.any(r > z):
        raise ValueError(f"dt_impedance_pu: load loss above the short-circuit impedance at {np.max(r / z):.2f} times")
    scale = 3 * LV_BASE_KVA / rating
    return r * scale, np.sqrt(z**2 - r**2) * scale


def dt_row(r_pu: ArrayLike, x_pu: ArrayLike) -> NDArray[np.float32]:
    """Busbar rows of `LvTiles.z_pu`: the DT's series impedance on the diagonal. [n, 12]"""
    r, x = np.broadcast_arrays(np.atleast_1d(r_pu), np.atleast_1d(x_pu))
    out = np.zeros((len(r), 12), np.float32)
    for column, (p, q) in enumerate(PAIRS):
        if p == q:
            out[:, 2 * column], out[:, 2 * column + 1] = r, x
    return out


def service_pu(
    r_ohm_km: ArrayLike, x_ohm_km: ArrayLike, length_m: ArrayLike, three_phase: ArrayLike
) -> NDArray[np.float32]:
    """Resistance and reactance that a leg's current sees in its service, on the LV base. [n, 2]

    Out and back for a single-phase service (phase and neutral alike); the phase conductor alone for a three-phase one,
    whose legs are equal and leave no current in the neutral.
    """
    factor = np.where(three_phase, 1.0, 2.0) * np.asarray(length_m, float) / 1000 / LV_BASE_OHM
    r, x = np.broadcast_arrays(np.asarray(r_ohm_km) * factor, np.asarray(x_ohm_km) * factor)
    return np.stack([np.atleast_1d(r), np.atleast_1d(x)], axis=1).astype(np.float32)


def line_pu(
    r_ohm: ArrayLike, x_ohm: ArrayLike, kv: float, mva: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Series impedance of a line, per unit of ``kv`` line to line and ``mva`` three-phase. Shapes as given."""
    base = kv**2 / mva
    return np.asarray(r_ohm, float) / base, np.asarray(x_ohm, float) / base


def charging_pu(b_us: ArrayLike, kv: float, mva: float = 1.0) -> NDArray[np.float64]:
    """Susceptance of a line (microsiemens, whole line), per unit; half of it belongs to each end. Shape as given."""
    return np.asarray(b_us, float) * 1e-6 * kv**2 / mva
