"""Networks from wherever users keep them, through pandapower's own readers."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import pandapower as pp

from twin.errors import NetworkError, Problem

SIMBENCH_CODE = re.compile(r"^\d-\w+-.*-\d-(no_)?sw$")
KINDS = "pandapower JSON (.json), Excel (.xlsx), MATPOWER (.m, .mat) or a SimBench code such as 1-LV-rural1--0-sw"


def read_network(source: Any) -> pp.pandapowerNet:
    """A pandapower network.

    Parameters
    ----------
    source : pandapowerNet, path or str
        A network (returned as it is), a file that pandapower reads, or a SimBench code.

    Raises
    ------
    NetworkError
        If there is no such file, no reader for it, or the reader cannot make sense of it.
    """
    if isinstance(source, pp.pandapowerNet):
        return source
    if not isinstance(source, str | Path):
        raise _refused(type(source).__name__, "is no network", f"give a pandapowerNet, {KINDS}")
    path = Path(source)
    if path.is_file():
        return _from_file(path)
    if SIMBENCH_CODE.match(str(source)):
        return _from_simbench(str(source))
    raise _refused(str(source), "there is no such file", f"give {KINDS}")


def _refused(where: str, what: str, fix: str) -> NetworkError:
    return NetworkError([Problem(where, "", what, fix)])


def _from_file(path: Path) -> pp.pandapowerNet:
    readers = {".json": _json, ".xlsx": _excel, ".m": _matpower, ".mat": _matpower}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise _refused(str(path), f"'{path.suffix}' is no kind of network file that is read", f"give {KINDS}")
    try:
        net = reader(path)
    except ImportError as error:
        raise _refused(
            str(path), f"its reader is not installed ({error})", "pip install 'gridtwin[networks]'"
        ) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, UserWarning, OSError, BadZipFile) as error:
        raise _refused(
            str(path), f"pandapower cannot read it: {error or type(error).__name__}", "repair the file"
        ) from error
    if not isinstance(net, pp.pandapowerNet) or not len(net.bus):
        raise _refused(str(path), "holds no pandapower network with buses", "save one with pandapower.to_json")
    return net


def _json(path: Path) -> Any:
    return pp.from_json(str(path))


def _excel(path: Path) -> Any:
    return pp.from_excel(str(path))


def _matpower(path: Path) -> Any:
    from pandapower.converter.matpower import from_mpc

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of pandas, on what the converter does inside
            return from_mpc(str(path))
    except NotImplementedError as error:  # how pandapower says that matpowercaseframes is missing
        raise ImportError(str(error)) from error


def _from_simbench(code: str) -> pp.pandapowerNet:
    try:
        import simbench
    except ImportError as error:
        raise _refused(
            code, "SimBench networks need the package simbench", "pip install 'gridtwin[networks]'"
        ) from error
    if code not in simbench.collect_all_simbench_codes():
        raise _refused(code, "is no SimBench code", "see simbench.collect_all_simbench_codes()")
    return simbench.get_simbench_net(code)
