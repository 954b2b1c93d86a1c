"""Public reports of wrong gradients, their mathematics written anew, each as it was reported and as it was mended."""

from benchmarks.accuracy.anything.reports.accumulation import ACCUMULATED
from benchmarks.accuracy.anything.reports.registry import Report
from benchmarks.accuracy.anything.reports.structure import STRUCTURAL

REPORTS: dict[str, Report] = {report.id: report for report in (*STRUCTURAL, *ACCUMULATED)}

__all__ = ["REPORTS", "Report"]
