"""What every trained stage shares: the base module, the stage `fit`, the progress line."""

from llmcycle.train.fit import fit
from llmcycle.train.module import TrainedModule
from llmcycle.train.progress import Progress

__all__ = ["Progress", "TrainedModule", "fit"]
