"""Power flow time series on any pandapower network: `twin.run_timeseries` and ``twin powerflow``."""

from twin.timeseries.result import TimeseriesResult
from twin.timeseries.run import run_timeseries

__all__ = ["TimeseriesResult", "run_timeseries"]
