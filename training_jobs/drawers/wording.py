"""The words for a drawn truth: the core's concise report, under the name that the jobs know it by."""

from xraygpt_core.report.concise import concise_report

__all__ = ["concise_report"]
