"""Arrow schemas of all result tables, made from the dictionary ``twin/data/tables.csv``."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

from twin.datapack import Row, read_rows

ZONE_NOTE = "wall clock of Asia/Kolkata (UTC+05:30)"

_DTYPES = {
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "date32[day]": pa.date32(),
    "timestamp[us]": pa.timestamp("us"),
}

KEYS: dict[str, tuple[str, ...]] = {
    "cases": ("case",),
    "system": ("case", "interval_start"),
    "grid_substations": ("case", "interval_start", "gss_id"),
    "feeders": ("case", "interval_start", "feeder_id"),
    "feeder_list": ("feeder_id",),
    "transformers": ("case", "date", "dt_id"),
    "consumers": ("consumer_id",),
    "population": ("feeder_id", "pss_id", "district", "category", "income_class"),
    "enrolment": ("case", "feeder_id", "pss_id", "district", "category", "income_class"),
    "mapped_loads": ("load", "category"),
    "loads": ("case", "interval_start", "load"),
    "bills": ("case", "consumer_id", "period_start"),
    "registers": ("case", "consumer_id", "period_start", "zone"),
    "readings": ("case", "interval_start", "consumer_id"),
    "events": ("case", "interval_start", "entity", "event", "detail"),
    "meter_balance": ("case", "date", "dt_id"),
    "meter_reads": ("case", "date", "feeder_id", "device"),
    "meter_events": ("case", "event_time", "consumer_id", "event"),
    "meter_days": ("case", "date", "consumer_id"),
    "dt_meters": ("case", "date", "dt_id"),
    "feeder_meters": ("case", "date", "feeder_id"),
    "commands": ("case", "campaign", "consumer_id"),
    "meter_firmware": ("case", "date", "feeder_id", "device", "version"),
    "outages": ("case", "level", "entity_id", "began", "cause"),
    "supply": ("case", "date", "feeder_id"),
    "meter_power": ("case", "date", "feeder_id"),
    "load_limits": ("case", "date", "consumer_id"),
    "estimates": ("case", "consumer_id", "period_start"),
    "wallets": ("case", "date", "feeder_id"),
    "wallet_days": ("case", "date", "consumer_id"),
    "wallet_windows": ("case", "consumer_id", "period_start"),
    "losses": ("arm", "area", "part"),
    "atc": ("arm", "area", "part"),
    "utility": ("arm", "area"),
    "gap": ("arm", "area"),
    "meter_losses": ("arm", "area", "part"),
    "dt_residuals": ("case", "dt_id"),
    "payments": ("arm", "area", "category", "month"),
    "reliability": ("arm", "area", "feeders", "measure"),
    "effects": ("arm", "outcome", "area", "group", "kind"),
    "prices": ("arm", "category", "income_class", "start"),
    "gains": ("arm", "measure", "category", "income_class"),
    "bands": ("quantity", "statistic"),
    "pilot": ("case", "dt_id"),
    "pilot_effects": ("arm", "replicate", "outcome", "estimator"),
    "sensitivity": ("outcome", "arm", "parameter"),
    "calibration": ("id",),
}
"""The columns that identify a row of each table; tables are sorted by them wherever order matters."""


class Column(Row):
    """One row of the table dictionary."""

    table: str
    column: str
    dtype: str
    unit: str
    meaning: str


@lru_cache(maxsize=1)
def dictionary() -> tuple[Column, ...]:
    """The whole table dictionary, in file order."""
    return tuple(read_rows("tables", Column))


@lru_cache(maxsize=64)
def arrow_schema(table: str) -> pa.Schema:
    """Schema of a table, every field with its unit and meaning as metadata."""
    fields = [
        pa.field(row.column, _DTYPES[row.dtype], metadata={"unit": row.unit, "meaning": row.meaning})
        for row in dictionary()
        if row.table == table
    ]
    if not fields:
        raise KeyError(f"no table named {table!r} in twin/data/tables.csv")
    return pa.schema(fields, metadata={"table": table, "time": ZONE_NOTE})


def table_names() -> tuple[str, ...]:
    """Names of all tables, in the dictionary's order."""
    return tuple(dict.fromkeys(row.table for row in dictionary()))
