"""Learning from preference pairs without a reward model: DPO and its variants, by `loss`."""

from __future__ import annotations

from collections.abc import Callable

from peft import PeftConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel

from llmcycle.align.logprobs import Reference, completion_mask, token_logprobs
from llmcycle.align.losses import Answers, PreferenceLoss
from llmcycle.train import TrainedModule


class Preference(TrainedModule):
    """Trains a policy against its starting self on batches of the `Preference` encoder: B chosen rows, B rejected."""

    def __init__(
        self,
        model: PreTrainedModel,
        loss: PreferenceLoss,
        optim: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        peft: PeftConfig | None = None,
    ) -> None:
        super().__init__(model, optim, schedule, peft)
        self.objective = loss
        self.reference = Reference(self.model)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss; share of pairs ordered right by the implicit reward, its margin and log-ratios in nats."""
        chosen, rejected = self.answers(batch)
        margins = (chosen.logratios - rejected.logratios).detach()
        return self.objective(chosen, rejected).mean(), {
            "accuracy": (margins > 0).float().mean(),
            "margin": margins.mean(),
            "chosen": chosen.logratios.detach().mean(),
            "rejected": rejected.logratios.detach().mean(),
        }

    def answers(self, batch: dict[str, Tensor]) -> tuple[Answers, Answers]:
        """Both sides of the batch's pairs."""
        logprobs = token_logprobs(self.model, batch).sum(1).chunk(2)
        ref_logprobs = self.reference.logprobs(batch).chunk(2)
        lengths = completion_mask(batch).sum(1).chunk(2)
        chosen, rejected = (Answers(*side) for side in zip(logprobs, ref_logprobs, lengths, strict=True))
        return chosen, rejected
