"""What every trained stage shares: the base module, the stage `fit`, checkpoints, bad steps, the progress line."""

from llmcycle.train.bad_steps import BadSteps
from llmcycle.train.checkpoints import Checkpoints
from llmcycle.train.fit import fit
from llmcycle.train.module import TrainedModule
from llmcycle.train.progress import Progress
from llmcycle.train.text_samples import TextSamples

__all__ = ["BadSteps", "Checkpoints", "Progress", "TextSamples", "TrainedModule", "fit"]
