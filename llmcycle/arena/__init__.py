"""`llmcycle arena`: models against each other, by a judge."""

from llmcycle.arena.contest import Contest, judge_by, play
from llmcycle.arena.matches import Matches
from llmcycle.arena.standings import Standing, standings
from llmcycle.arena.write import write

__all__ = ["Contest", "Matches", "Standing", "judge_by", "play", "standings", "write"]
