from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from options import compressing
from peft import LoraConfig, get_peft_model
from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig, IntxWeightOnlyConfig, PerGroup
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaForCausalLM, TorchAoConfig

from llmcycle.compress import compress
from llmcycle.engine import TransformersEngine, texts
from llmcycle.evaluate.scores import Scores

SAMPLES = ["Hello", "a"]
OPTIONS = sorted(Path("conf/quant").glob("*.yaml"))
INT4 = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32))


def run(source: str, quant: Any, rows: Any, out: Path, **more: Any) -> Any:
    more = {"evaluators": {}, "prompts": 3, "max_new_tokens": 5, **more}
    return compress(source, quant, data=rows, samples=SAMPLES, out=out, logger=None, **more)


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: path.stem)
def test_every_option_quantises_reloads_and_says_its_size(path: Path, source: str, rows: Any, out: Path) -> None:
    metrics = run(source, compressing("quant", path.stem), rows, out)
    assert next(iter(metrics)) == "linear_bytes_ratio"
    unpacked = dict.fromkeys(("int2", "int3", "int4"), (0.4, 10.5))
    ratio, bits = {"none": (1, 32), "nvfp4": (0.15, 4.6), **unpacked}.get(path.stem, (0.3, 9))
    assert metrics["linear_bytes_ratio"].value <= ratio
    assert metrics["bits_per_weight"].value == pytest.approx(32 * metrics["linear_bytes_ratio"].value)
    assert metrics["bits_per_weight"].value <= bits
    assert metrics["file_bytes"].value == (out / "model.safetensors").stat().st_size
    assert metrics["file_bytes"].before == (Path(source) / "model.safetensors").stat().st_size
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_int8_bytes_are_the_arithmetic_ones(source: str, wide: LlamaForCausalLM, rows: Any, out: Path) -> None:
    metrics = run(source, Int8WeightOnlyConfig(), rows, out)
    shapes = [m.weight.shape for n, m in wide.named_modules() if n.endswith("_proj")]
    assert metrics["linear_bytes"].value == sum(n * k + 5 * n for n, k in shapes)  # a row: scale in fp32, zero point
    assert metrics["linear_bytes"].before == sum(4 * n * k for n, k in shapes)


def test_nothing_changes_without_quantisation(source: str, rows: Any, out: Path) -> None:
    metrics = run(source, None, rows, out)
    for name in ("linear_bytes_ratio", "greedy_agreement", "same_answers"):
        assert metrics[name].value == 1
    assert (out / "model.safetensors").read_bytes() == (Path(source) / "model.safetensors").read_bytes()


def test_agreement_counts_equal_choices_in_the_same_contexts(source: str, rows: Any, out: Path) -> None:
    metrics = run(source, INT4, rows, out)
    low, high = metrics["greedy_agreement"].interval
    assert low <= metrics["greedy_agreement"].value <= high
    assert 0 < metrics["greedy_agreement"].value < 1  # a model of random weights loses much to 4 bits
    assert metrics["greedy_agreement"].n == metrics["same_answers"].n == 5
    answers = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    same = [a["before"] == a["after"] for a in answers]
    assert metrics["same_answers"].value == sum(same) / len(same)


def test_answers_are_those_of_the_written_model(source: str, rows: Any, out: Path, tokenizer: Any) -> None:
    run(source, Int8WeightOnlyConfig(), rows, out)
    reloaded = AutoModelForCausalLM.from_pretrained(out)
    expected = texts(TransformersEngine(reloaded, tokenizer), SAMPLES, GenerationConfig(max_new_tokens=5))
    samples = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    assert samples == [{"prompt": p, "answer": a} for p, a in zip(SAMPLES, expected, strict=True)]


def test_evaluators_are_asked_before_and_after(source: str, rows: Any, out: Path) -> None:
    def kind(engine: Any) -> dict[str, Scores]:
        plain = type(engine.model.model.layers[0].mlp.up_proj.weight.data) is torch.Tensor
        return {"plain": Scores([float(plain)] * 10)}

    metric = run(source, Int8WeightOnlyConfig(), rows, out, evaluators={"kind": kind})["plain"]
    assert (metric.before, metric.value) == (1, 0)
    assert metric.interval[1] < 0


def test_a_transformers_config_may_leave_layers_out(source: str, rows: Any, out: Path) -> None:
    run(
        source,
        TorchAoConfig(Int8WeightOnlyConfig(), modules_to_not_convert=["lm_head", "model.layers.0.mlp"]),
        rows,
        out,
    )
    layer = AutoModelForCausalLM.from_pretrained(out).model.layers[0]
    assert type(layer.mlp.up_proj.weight.data) is torch.Tensor
    assert type(layer.self_attn.q_proj.weight.data) is not torch.Tensor


def test_a_group_that_divides_no_width_is_refused(source: str, rows: Any, out: Path) -> None:
    group = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(96))
    with pytest.raises(ValueError, match=r"quant: IntxWeightOnlyConfig .*widths \[128, 256\] .*divisible.*group size"):
        run(source, group, rows, out)
    with pytest.raises(ValueError, match="it left all of them as they were"):
        run(source, Int4WeightOnlyConfig(group_size=96), rows, out)


def test_a_quantised_model_is_refused(source: str, rows: Any, out: Path, tmp_path: Path) -> None:
    run(source, Int8WeightOnlyConfig(), rows, out)
    with pytest.raises(ValueError, match="is quantised already"):
        run(str(out), Int8WeightOnlyConfig(), rows, tmp_path / "again")


def test_an_adapter_is_refused(wide: LlamaForCausalLM, rows: Any, out: Path, tmp_path: Path) -> None:
    get_peft_model(wide, LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])).save_pretrained(tmp_path / "a")
    with pytest.raises(ValueError, match=r"holds an adapter .*peft=lora"):
        run(str(tmp_path / "a"), Int8WeightOnlyConfig(), rows, out)


def test_no_prompts_are_refused(source: str, out: Path, rows: Any) -> None:
    with pytest.raises(ValueError, match="prompts: none"):
        compress(source, None, {}, rows, [], prompts=0, out=out, logger=None)


def test_what_can_not_be_written_as_it_is_is_refused(source: str, rows: Any, out: Path) -> None:
    """A scale of 2 on a layer's output, which no folder of transformers' holds."""

    def doubling(model: Any, tokenizer: Any, rows: Any) -> Any:
        model.model.norm.register_forward_hook(lambda module, inputs, output: 2 * output)
        return model

    with pytest.raises(ValueError, match=r"is not the model that was given.*first layer that differs is model\.norm"):
        run(source, doubling, rows, out)
