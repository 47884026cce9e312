"""Every error that a user of the twin can cause or repair. Nothing else in the twin raises to the user."""

from __future__ import annotations

from dataclasses import dataclass


class TwinError(Exception):
    """Base of every error that a user of the twin can cause or repair."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the input: where it stands, what is wrong, and what to do.

    ``where`` is ``file:line`` when the text parses, else the file; ``path`` is the dotted key or the table column.
    """

    where: str
    path: str
    what: str
    fix: str

    def __str__(self) -> str:
        place = f"{self.where}: {self.path}" if self.path else self.where
        return f"{place}: {self.what}; {self.fix}"


class InputError(TwinError):
    """All problems of one or more input files at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type, tuple[list[Problem]]]:
        return type(self), (self.problems,)


class ScenarioError(InputError):
    """A scenario file, or an override of it, cannot be used."""


class DataPackError(InputError):
    """A table of the data pack (or a user's addition to it) is malformed."""


class ModelError(InputError):
    """A function that a user registered as a model of meters cannot be used."""


class RunFolderError(InputError):
    """The output folder cannot be used as asked: not empty, another run's, or not a run."""


class NetworkError(InputError):
    """A network cannot be built, read or solved as described."""


class RunInterrupted(TwinError):
    """The run was stopped by the user and can be resumed."""

    exit_code = 4


class StorageError(TwinError):
    """A file cannot be written or read: the store keeps failing, or the disk is full. The run can be resumed."""

    exit_code = 4


class ClusterError(TwinError):
    """The cluster cannot be joined, lacks CPUs, or does not answer. The run can be resumed."""

    exit_code = 4


class WorkerLost(ClusterError):
    """A shard's process or its machine died. The run goes on with the workers that are left."""


class FencedError(TwinError):
    """A newer attempt has taken the run over; this one must not write to its folder any more."""

    exit_code = 4
