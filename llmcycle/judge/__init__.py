"""A judge: any engine that is asked for verdicts on answers, under a rubric."""

from llmcycle.judge.judge import Judge, Value, mean
from llmcycle.judge.rubric import Rubric

__all__ = ["Judge", "Rubric", "Value", "mean"]
