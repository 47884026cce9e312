"""What all parts of a scenario are built from: strict frozen sections, frozen mappings, names."""

from __future__ import annotations

from types import GenericAlias
from typing import Annotated, Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, Strict, StringConstraints
from pydantic_core import CoreSchema, core_schema

Key = TypeVar("Key")
Value = TypeVar("Value")


class FrozenDict(dict[Key, Value], Generic[Key, Value]):
    """A dict that cannot be changed, hashes by content and travels between processes."""

    def _refuse(self, *_args: Any, **_kwargs: Any) -> Any:
        raise TypeError("a scenario is frozen; change the file or use --set")

    __setitem__ = __delitem__ = update = setdefault = pop = popitem = clear = __ior__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))

    def __reduce__(self) -> tuple[type, tuple[dict[Key, Value]]]:
        return type(self), (dict(self),)

    def __deepcopy__(self, _memo: Any) -> FrozenDict[Key, Value]:
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        plain = GenericAlias(dict, get_args(source))
        return core_schema.no_info_after_validator_function(cls, handler.generate_schema(plain))


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Many = Strict(False)  # YAML lists become tuples; their elements stay strict


class Section(BaseModel):
    """Base of every part of a scenario."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
