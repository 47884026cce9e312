"""The digital twin of a state's electricity grid, down to every consumer's meter."""

from twin import kernels as _kernels

_kernels.prepare()

__version__ = "0.1.0"
