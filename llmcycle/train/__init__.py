"""What every trained stage shares: the base module, the stage `fit`, checkpoints, bad steps, judging, progress."""

from llmcycle.train.bad_steps import BadSteps
from llmcycle.train.checkpoints import Checkpoints
from llmcycle.train.early_stopping import EarlyStopping
from llmcycle.train.fit import fit
from llmcycle.train.judge import Judge
from llmcycle.train.module import TrainedModule
from llmcycle.train.progress import Progress
from llmcycle.train.text_samples import TextSamples

__all__ = ["BadSteps", "Checkpoints", "EarlyStopping", "Judge", "Progress", "TextSamples", "TrainedModule", "fit"]
