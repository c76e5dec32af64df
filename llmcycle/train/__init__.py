"""What every trained stage shares: the learner, the stage `fit`, checkpoints, bad steps, judging, progress."""

from llmcycle.train.bad_steps import BadSteps
from llmcycle.train.checkpoint_callback import Checkpoints
from llmcycle.train.early_stopping import EarlyStopping
from llmcycle.train.fit import fit
from llmcycle.train.judge import Judge
from llmcycle.train.learner import Learner
from llmcycle.train.models import Models
from llmcycle.train.objective import Objective
from llmcycle.train.over_optimisation import OverOptimisation
from llmcycle.train.progress import Progress
from llmcycle.train.text_samples import TextSamples

__all__ = [
    "BadSteps",
    "Checkpoints",
    "EarlyStopping",
    "Judge",
    "Learner",
    "Models",
    "Objective",
    "OverOptimisation",
    "Progress",
    "TextSamples",
    "fit",
]
