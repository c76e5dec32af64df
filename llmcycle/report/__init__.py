"""What a run tells its user: the terminal's plan and table, report.json, report.md and one offline page."""

from llmcycle.report.arm import arm_line
from llmcycle.report.build import build, render_report, write_report
from llmcycle.report.record import RunFacts, StageRecord, read_metrics, read_report
from llmcycle.report.sweep import read_arms
from llmcycle.report.sweep_summary import print_search, print_sweep
from llmcycle.report.terminal import print_plan, print_stage, print_table

__all__ = [
    "RunFacts",
    "StageRecord",
    "arm_line",
    "build",
    "print_plan",
    "print_search",
    "print_stage",
    "print_sweep",
    "print_table",
    "read_arms",
    "read_metrics",
    "read_report",
    "render_report",
    "write_report",
]
