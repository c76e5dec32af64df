"""The models of a learner by role, and which of their weights are trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from peft import PeftConfig
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from transformers import PreTrainedModel

from llmcycle.model import adapt, freeze, needs_data
from llmcycle.train.logprobs import Reference
from llmcycle.train.sharding import gather, shard, skeleton
from llmcycle.train.stored_reference import StoredReference

POLICY, REFERENCE = "policy", "reference"  # the model that is handed on, and what it was before training


class Models(nn.Module):
    """A policy, perhaps its reference, and the models of further roles, such as a critic.

    Args:
        policy: is trained whole unless `peft` is given, and handed on.
        others: models by role.
        trains: roles that are trained; other models are frozen and stay in evaluation mode.
        reference: whether the policy as it is before training is needed.
        stored: whether its log-probabilities are computed before training, in the place of keeping it.
        peft: an adapter to put on the policy; it alone is trained then.
        new_tokens: whose rows in the embeddings are trained beside an adapter.
        waits: an adapter that starts from training batches is put on by `calibrate` only.
        frozen: patterns on names of parameters that are not trained: see `llmcycle.model.freeze`. With several models
            a name begins with the role.
        gradient_checkpointing: activations are computed again for the gradient instead of being kept.
        loss_chunk: tokens whose logits exist at once; None for all.
        compile: the policy's forward and backward pass by `torch.compile`.

    Attributes:
        run: the policy's forward pass, compiled if that is asked for.
        reference: see `llmcycle.train.logprobs.Reference`; None unless needed. It is no part of this module, so that
            checkpoints don't carry it.
        sharded: whether weights are spread over processes.
    """

    policy: PreTrainedModel

    def __init__(
        self,
        policy: PreTrainedModel,
        others: Mapping[str, nn.Module] | None = None,
        *,
        trains: Sequence[str] = (POLICY,),
        reference: bool = False,
        stored: bool = False,
        peft: PeftConfig | None = None,
        new_tokens: Sequence[int] = (),
        waits: bool = False,
        frozen: Sequence[str] = (),
        gradient_checkpointing: bool = False,
        loss_chunk: int | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        peft = peft or None  # an option left empty (peft=none) arrives as {}
        self.new_tokens = list(new_tokens)
        self.waiting = peft if waits and needs_data(peft) else None
        self.policy = policy if self.waiting else adapt(policy, peft, new_tokens=new_tokens)
        for role, model in (others or {}).items():
            self.add_module(role, model.requires_grad_(role in trains))
        self.trains, self.frozen, self.loss_chunk, self.compiled = tuple(trains), tuple(frozen), loss_chunk, compile
        if gradient_checkpointing:
            for _, model in self.trained():
                model.gradient_checkpointing_enable({"use_reentrant": False})
        if not self.waiting:
            self._freeze()
        kind = StoredReference if stored else Reference
        self.reference = kind(self.policy, loss_chunk) if reference else None
        self.run: Callable[..., Any] = torch.compile(self.forward) if compile else self.forward
        self._skeleton: list[Any] = []  # of a sharded policy; in a list, so that it is no part of this module

    def forward(self, **inputs: object) -> Any:
        """The policy's output."""
        return self.policy(**inputs)

    def trained(self) -> Iterator[tuple[str, Any]]:
        """Roles that are trained, and their models; the policy first."""
        yield from ((role, model) for role, model in self.named_children() if role in self.trains)

    @property
    def device(self) -> torch.device:
        """Where the policy is."""
        return next(self.policy.parameters()).device  # type: ignore[no-any-return]

    @property
    def sharded(self) -> bool:
        """See the class."""
        return bool(self._skeleton)

    @property
    def takes_positions(self) -> bool:
        """Whether positions may be given: peft drops them where virtual tokens come first; shards meet in one pass."""
        return not self.virtual and not self.sharded

    @property
    def virtual(self) -> bool:
        """Whether an adapter puts virtual tokens before a row's own."""
        return bool(getattr(getattr(self.policy, "active_peft_config", None), "is_prompt_learning", False))

    def calibrate(self, batches: Callable[[], Iterable[Mapping[str, Tensor]]]) -> None:
        """Put on an adapter that starts from training batches; all others are there by now."""
        if self.waiting:
            self.policy = adapt(self.policy, self.waiting, batches, self.new_tokens)
            self.waiting = None
            self._freeze()

    def train(self, mode: bool = True) -> Models:
        """As torch has it, but for models that are frozen: they have no dropout to train under."""
        super().train(mode)
        for role, model in self.named_children():
            model.train(mode and role in self.trains)
        return self

    def shard(self, mesh: DeviceMesh) -> None:
        """Give this process its share of all weights."""
        self._skeleton = [skeleton(self.policy)]
        for model in self.children():
            shard(model, mesh)

    def gathered(self) -> Any:
        """The policy with all of its weights, on the first process; all processes take part."""
        return gather(self.policy, *self._skeleton) if self.sharded else self.policy

    def _freeze(self) -> None:
        """One policy goes by the names that it has itself."""
        freeze(self if len(list(self.children())) > 1 else self.policy, self.frozen)
