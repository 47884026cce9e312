"""The report of a run: one HTML file that opens without network and prints well."""

from twin.report.page import write_report

__all__ = ["write_report"]
