"""What single methods ask for: data to start from, learning rates of their own, ranks that move, frozen parts."""

from __future__ import annotations

import copy
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from conftest import byte_tokenizer, random_llama
from learners import learner
from options import OPTIONS, build
from peft import AdaLoraConfig, EvaConfig, LoraConfig, LoraGAConfig, PeftConfig
from peft.optimizers import create_loraplus_optimizer
from peft.tuners.lora.config import CordaConfig
from peft.tuners.lora.variants import BlockDiagonalLinear
from transformers import LlamaForCausalLM

from llmcycle.config.paths import shipped
from llmcycle.data.batches import Batches
from llmcycle.data.chat import set_chat_template
from llmcycle.data.encode import Completion
from llmcycle.finetune import Supervised
from llmcycle.model import LoraFAConfig, LoraPlusConfig, adapt
from llmcycle.train import Learner

ALL = {"task_type": "CAUSAL_LM", "target_modules": "all-linear"}
DATA_DRIVEN = {
    "eva": lambda: LoraConfig(**ALL, r=4, init_lora_weights="eva", eva_config=EvaConfig(rho=2.0)),
    "corda": lambda: LoraConfig(**ALL, r=4, init_lora_weights="corda", corda_config=CordaConfig()),
    "lora_ga": lambda: LoraConfig(**ALL, r=4, init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig()),
}
VARIANTS = [
    name for name in OPTIONS if "defaults: [lora]" in (shipped("conf") / f"peft/{name}.yaml").read_text("utf-8")
]


@pytest.fixture(scope="module")
def batches() -> Batches:
    rows = [{"prompt": f"What is {n}?", "completion": f"It is {n + 1}."} for n in range(8)]
    tokenizer = set_chat_template(byte_tokenizer())
    return Batches(SimpleNamespace(train=rows, validation=[]), Completion(64), tokenizer, 4, 4, seed=0)


@pytest.fixture(scope="module")
def start() -> LlamaForCausalLM:
    """The model that tests copy."""
    return random_llama(len(byte_tokenizer()))


def supervised(model: LlamaForCausalLM, peft: PeftConfig | None, **options: Any) -> Learner:
    return learner(copy.deepcopy(model), Supervised(), peft, partial(torch.optim.AdamW, lr=1e-2), **options)


def run(module: Learner, batches: Batches, steps: int, **options: Any) -> pl.Trainer:
    silent = {f"enable_{part}": False for part in ("checkpointing", "model_summary", "progress_bar")}
    trainer = pl.Trainer(max_steps=steps, accelerator="cpu", logger=False, **silent, **options)
    trainer.fit(module, datamodule=batches)
    return trainer


def some(batches: Batches) -> list[dict[str, Any]]:
    """All rows as two batches."""
    return [batches.collate(batches.train[i : i + 4]) for i in (0, 4)]


@pytest.mark.parametrize("name", DATA_DRIVEN)
def test_an_adapter_starts_from_the_recipes_batches(batches: Batches, start: LlamaForCausalLM, name: str) -> None:
    """The same batches give the same start, others another one; and the model answers as before."""

    def fresh(rows: list[dict[str, Any]]) -> Learner:
        torch.manual_seed(0)
        module = supervised(start, DATA_DRIVEN[name]())
        module.calibrate(lambda: rows)
        return module

    first, again, other = fresh(some(batches)), fresh(some(batches)), fresh(some(batches)[:1])
    learnt = {key: p for key, p in first.model.named_parameters() if p.requires_grad and "lora_A" in key}
    assert all(torch.equal(p, again.model.get_parameter(key)) for key, p in learnt.items())
    assert not all(torch.equal(p, dict(other.model.named_parameters()).get(key, p)) for key, p in learnt.items())
    ids = some(batches)[0]["input_ids"]
    with torch.no_grad():
        assert torch.allclose(first.model.eval()(ids).logits, start(ids).logits, atol=1e-4)


def test_eva_spreads_ranks_by_explained_variance(batches: Batches, start: LlamaForCausalLM) -> None:
    module = supervised(start, DATA_DRIVEN["eva"]())
    module.calibrate(lambda: some(batches))
    ranks = [p.shape[0] for key, p in module.model.named_parameters() if "lora_A" in key]
    assert len(set(ranks)) > 1
    assert max(ranks) <= 8


def test_what_starts_from_labels_is_refused_where_there_are_none(start: LlamaForCausalLM) -> None:
    with pytest.raises(ValueError, match="starts from batches of tokens with labels"):
        adapt(copy.deepcopy(start), DATA_DRIVEN["eva"]())


def test_lora_plus_takes_the_groups_of_pefts_optimizer(batches: Batches, start: LlamaForCausalLM) -> None:
    module = supervised(start, LoraPlusConfig(**ALL, lr_ratio=8.0))
    trainer = run(module, batches, 1)
    names = {id(p): key for key, p in module.model.named_parameters()}
    found = {names[id(p)]: g["lr"] for g in trainer.optimizers[0].param_groups for p in g["params"]}
    theirs = create_loraplus_optimizer(module.model, torch.optim.AdamW, lr=1e-2, loraplus_lr_ratio=8.0)
    assert found == {names[id(p)]: g["lr"] for g in theirs.param_groups for p in g["params"]}


@pytest.mark.parametrize("config", [{}, {"modules_to_save": ["lm_head"]}], ids=["plain", "with_head"])
def test_states_of_lora_plus_are_saved_under_the_names_of_their_weights(
    batches: Batches, start: LlamaForCausalLM, config: dict[str, Any]
) -> None:
    """The output layer's group stands behind that of the weights that learn faster, though the model has it last."""
    module = supervised(start, LoraPlusConfig(**ALL, **config))
    trainer = run(module, batches, 1)
    saved = trainer._checkpoint_connector.dump_checkpoint()["optimizer_states"][0]["state"]
    parameters = dict(module.named_parameters())
    assert saved.keys() == {name for name, p in parameters.items() if p.requires_grad}
    for name, state in saved.items():
        assert state["exp_avg"] is trainer.optimizers[0].state[parameters[name]]["exp_avg"], name


def test_lora_fa_trains_b_alone(batches: Batches, start: LlamaForCausalLM) -> None:
    module = supervised(start, LoraFAConfig(**ALL))
    before = {key: p.clone() for key, p in module.model.named_parameters()}
    run(module, batches, 2)
    changed = {key for key, p in module.model.named_parameters() if not torch.equal(p, before[key])}
    assert changed == {key for key in before if "lora_B" in key}


def test_adalora_moves_ranks_after_each_step_and_not_between(
    batches: Batches, start: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = supervised(start, AdaLoraConfig(**ALL, init_r=6, target_r=2, total_step=4))
    seen: list[int] = []
    allocate = module.model.base_model.update_and_allocate
    monkeypatch.setattr(
        module.model.base_model, "update_and_allocate", lambda step: (seen.append(step), allocate(step))
    )
    run(module, batches, 4, accumulate_grad_batches=2)
    assert seen == [1, 2, 3, 4]
    ranks = [int((p != 0).sum()) for key, p in module.model.named_parameters() if "lora_E" in key]
    assert sum(ranks) == 2 * len(ranks)
    assert len(set(ranks)) > 1


def test_what_adalora_has_gathered_is_in_a_checkpoint(batches: Batches, start: LlamaForCausalLM) -> None:
    config = AdaLoraConfig(**ALL, init_r=6, target_r=2, total_step=9)
    module, other = (supervised(start, copy.deepcopy(config)) for _ in range(2))
    trainer = run(module, batches, 3)
    saved = trainer._checkpoint_connector.dump_checkpoint()
    other.on_load_checkpoint(saved)
    ours, theirs = (m.model.base_model.rankallocator for m in (module, other))
    for name in ("ipt", "exp_avg_ipt", "exp_avg_unc"):
        gathered = getattr(ours, name)
        assert gathered
        assert all(torch.equal(value, getattr(theirs, name)[key]) for key, value in gathered.items())


def test_patterns_freeze_parameters(batches: Batches, start: LlamaForCausalLM) -> None:
    module = supervised(start, None, frozen=["embed_tokens", "layers.0", "*.layers.1.mlp.[gu]*"])
    run(module, batches, 2)
    changed = {k for k, p in module.model.named_parameters() if not torch.equal(p, start.get_parameter(k))}
    layer = {f"model.layers.1.self_attn.{part}_proj.weight" for part in "qkvo"}
    norms = {f"model.layers.1.{norm}.weight" for norm in ("input_layernorm", "post_attention_layernorm")}
    assert changed == {*layer, *norms, "model.layers.1.mlp.down_proj.weight", "model.norm.weight", "lm_head.weight"}


def test_patterns_freeze_parts_of_an_adapter(start: LlamaForCausalLM) -> None:
    module = supervised(start, LoraConfig(**ALL), frozen=["layers.0"])
    trained = [key for key, p in module.model.named_parameters() if p.requires_grad]
    assert trained
    assert all("layers.1." in key for key in trained)


@pytest.mark.parametrize(
    ("patterns", "reason"),
    [
        (["embed_token"], "'embed_token' names nothing that is trained; near it are embed_tokens"),
        (["layers.[2-9]"], "names nothing that is trained; near it are layers"),
        (["*"], r"\* together leave nothing to train"),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused(start: LlamaForCausalLM, patterns: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        supervised(start, None, frozen=patterns)


def test_whole_modules_are_trained_beside_an_adapter(batches: Batches, start: LlamaForCausalLM) -> None:
    module = supervised(start, LoraConfig(**ALL, modules_to_save=["lm_head"]))
    run(module, batches, 1)
    merged = module.model.merge_and_unload()
    assert not torch.equal(merged.lm_head.weight, start.lm_head.weight)
    assert torch.equal(merged.model.embed_tokens.weight, start.model.embed_tokens.weight)


def test_the_factors_of_bdlora_are_block_diagonal(start: LlamaForCausalLM) -> None:
    adapted = adapt(copy.deepcopy(start), build("bdlora", byte_tokenizer()))
    blocks = {key for key, module in adapted.named_modules() if isinstance(module, BlockDiagonalLinear)}
    of_a = {key for key in blocks if ".lora_A." in key}
    assert {key.split(".lora_")[0].rpartition(".")[2] for key in of_a} == {"o_proj", "down_proj"}
    layers = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
    assert {key.split(".lora_")[0].rpartition(".")[2] for key in blocks - of_a} == set(layers)


@pytest.mark.parametrize("name", VARIANTS)
def test_no_variant_of_lora_is_lora_itself(batches: Batches, start: LlamaForCausalLM, name: str) -> None:
    """An option that names no layer, say, trains as plain LoRA and looks like a method of the same quality."""
    ids = some(batches)[0]["input_ids"]

    def trained(method: str) -> torch.Tensor:
        torch.manual_seed(0)
        module = supervised(start, build(method, set_chat_template(byte_tokenizer())))
        module.calibrate(lambda: some(batches))
        run(module, batches, 2)
        with torch.no_grad():
            logits: torch.Tensor = module.model.eval()(ids).logits
        return logits

    assert not torch.allclose(trained(name), trained("lora"), atol=1e-6)
