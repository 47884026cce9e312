"""Units and constants of definition. Anything measured or assumed is data, not here."""

from __future__ import annotations

MINUTES_PER_DAY = 1440
HOURS_PER_DAY = 24.0
WH_PER_KWH = 1000
PAISE_PER_INR = 100
KW_PER_MW = 1000.0
DAYS_PER_YEAR = 365.0
HOURS_PER_YEAR = HOURS_PER_DAY * DAYS_PER_YEAR
INR_PER_CRORE = 1e7

LV_BASE_KVA = 1.0
"""Power base of the low-voltage per-unit system, per phase. [kVA]"""
LV_BASE_V = 250.0
"""Phase voltage base at LV: the DT's no-load voltage 433 V / sqrt(3), rounded to 250 V (trials, section 1). [V]"""
LV_NOMINAL_PU = 0.92
"""230 V on the LV base. [pu]"""
