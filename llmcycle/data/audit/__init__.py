"""What is trained is what was meant: every example held against its row before the first step."""

from llmcycle.data.audit.audit import Audit, audit, check_allowed
from llmcycle.data.audit.findings import Finding, report
from llmcycle.data.audit.rules import RULES

__all__ = ["RULES", "Audit", "Finding", "audit", "check_allowed", "report"]
