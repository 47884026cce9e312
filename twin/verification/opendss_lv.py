"""Low-voltage reference networks in OpenDSS: running a script, and reading voltages, losses and power back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from twin.errors import NetworkError, Problem
from twin.units import KW_PER_MW, LV_BASE_V
from twin.verification.lv_networks import PHASES

OPTIONS = ("set maxiterations=300", "set tolerance=1e-11", "set controlmode=off", "solve")


@dataclass(frozen=True)
class OpenDssResult:
    """What OpenDSS finds; voltages in pu of 250 V."""

    node_pu: dict[str, complex]
    """By node, as ``p3.1``; against earth."""
    load_pu: dict[str, float]
    """Magnitude across a load, by its name."""
    load_kw: dict[str, float]
    line_loss_kw: float
    transformer_loss_kw: float
    sent_kw: float
    """Into the transformer, without loads at 11 kV, as ``sent_kvar``."""
    sent_kvar: float


def run(commands: Iterable[str]) -> OpenDssResult:
    """Give OpenDSS a circuit whose lines are all low voltage and whose transformer is called ``dt``.

    Raises
    ------
    NetworkError
        If it finds no solution.
    """
    import opendssdirect as dss

    for command in (*commands, *OPTIONS):
        dss.Text.Command(command)
    if not dss.Solution.Converged():
        raise NetworkError([Problem("OpenDSS", "", "no solution of the circuit", "look at its voltages")])
    volts = np.asarray(dss.Circuit.AllBusVolts()).view(np.complex128) / LV_BASE_V
    load_pu, load_kw = {}, {}
    for name in dss.Loads.AllNames():
        dss.Circuit.SetActiveElement(f"load.{name}")
        terminal = np.asarray(dss.CktElement.Voltages()).view(np.complex128)
        load_pu[name] = float(abs(terminal[0] - terminal[-1])) / LV_BASE_V
        load_kw[name] = float(sum(dss.CktElement.Powers()[0::2]))
    dss.Circuit.SetActiveElement("transformer.dt")
    powers = np.asarray(dss.CktElement.Powers()).reshape(2, -1, 2)[0].sum(axis=0)
    return OpenDssResult(
        node_pu=dict(zip((name.lower() for name in dss.Circuit.AllNodeNames()), volts.tolist(), strict=True)),
        load_pu=load_pu,
        load_kw=load_kw,
        line_loss_kw=_losses(dss, "line"),
        transformer_loss_kw=_losses(dss, "transformer"),
        sent_kw=float(powers[0]),
        sent_kvar=float(powers[1]),
    )


def _losses(dss: Any, kind: str) -> float:
    names = dss.Circuit.AllElementNames()
    watt = np.asarray(dss.Circuit.AllElementLosses()).view(np.complex128).real * KW_PER_MW
    chosen = [name.lower().startswith(f"{kind}.") for name in names]
    return float(watt[chosen].sum() / KW_PER_MW)


def net_commands(net: Any) -> Iterator[str]:
    """A pandapower network behind transformer 0 with sequence impedances and star loads of constant power."""
    trafo, kv = net.trafo.iloc[0], float(net.trafo.vn_lv_kv.iloc[0])
    kva, r = trafo.sn_mva * KW_PER_MW, trafo.vkr_percent
    x = float(np.sqrt(trafo.vk_percent**2 - r**2))
    yield "clear"
    yield f"set defaultbasefrequency={net.f_hz:g}"
    yield (
        f"new circuit.net bus1=hv basekv={trafo.vn_hv_kv:.12g} pu={net.ext_grid.vm_pu.iloc[0]:.12g} r1=0 x1=1e-6 r0=0 "
        f"x0=1e-6 basefreq={net.f_hz:g}"
    )
    yield (
        f"new transformer.dt phases=3 windings=2 buses=(hv b{trafo.lv_bus}.1.2.3.0) conns=(delta wye) "
        f"kvs=({trafo.vn_hv_kv:.12g} {kv:.12g}) kvas=({kva:.12g} {kva:.12g}) xhl={x:.12g} %loadloss={r:.12g} "
        "%noloadloss=0 %imag=0 ppm_antifloat=0"
    )
    for line in net.line.itertuples():
        yield (
            f"new line.l{line.Index} phases=3 bus1=b{line.from_bus} bus2=b{line.to_bus} r1={line.r_ohm_per_km:.12g} "
            f"x1={line.x_ohm_per_km:.12g} r0={line.r0_ohm_per_km:.12g} x0={line.x0_ohm_per_km:.12g} c1=0 c0=0 "
            f"length={line.length_km:.12g} units=km"
        )
    for load in net.asymmetric_load.itertuples():
        for phase, name in enumerate(PHASES, 1):
            p, q = (getattr(load, f"{part}_{name}_m{unit}") * load.scaling for part, unit in (("p", "w"), ("q", "var")))
            if p != 0:
                yield (
                    f"new load.d{load.Index}{name} phases=1 conn=wye bus1=b{load.bus}.{phase} "
                    f"kv={kv / np.sqrt(3):.12g} kw={p * KW_PER_MW:.12g} kvar={q * KW_PER_MW:.12g} model=1 "
                    "vminpu=0.1 vmaxpu=2"
                )
