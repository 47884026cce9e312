"""What a finished run says: effects of arms, who gains, losses, bands, calibration, sensitivity, ledger. Reads tables
only.
"""

from twin.analysis.everything import analyse

__all__ = ["analyse"]
