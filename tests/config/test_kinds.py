"""Parts that are right by themselves and wrong together are refused in words, and what README shows passes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import matrix
import pytest

from llmcycle.config.check import check
from llmcycle.config.compose import compose
from llmcycle.config.errors import ConfigError, RecipeErrors
from llmcycle.config.paths import locate


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rows of many forms, and folders of a language model, a reward model and a masked model."""
    monkeypatch.chdir(tmp_path)
    matrix.write(tmp_path)
    kinds = {
        "model": "LlamaForCausalLM",
        "scorer": "LlamaForSequenceClassification",
        "steps": "LlamaForTokenClassification",
        "masked": "ModernBertForMaskedLM",
    }
    for name, architecture in kinds.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"architectures": [architecture], "model_type": "llama"}))
        (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<|endoftext|>"}))
        vocabulary = {"model": {"vocab": {str(index): index for index in range(600)}}, "added_tokens": []}
        (folder / "tokenizer.json").write_text(json.dumps(vocabulary))
    return tmp_path


def errors(command: str) -> list[ConfigError]:
    recipe, *overrides = shlex.split(command)
    try:
        check(compose(locate(recipe), overrides))
    except RecipeErrors as error:
        return error.errors
    return []


M = "inputs.model=model"
WRONG = [
    (f"evaluate {M} engine=openai evaluate=held_out_loss", "evaluate.held_out_loss", "one of: evaluate=exact_match"),
    (f"evaluate {M} engine=openai +generate=beam", "generate.num_beams", "engine=transformers"),
    (f"prompt {M} engine=openai generate@generate.greedy=beam", "generate.greedy.num_beams", "engine=transformers"),
    ("evaluate inputs.model=scorer", "evaluate.exact_match", "one of: evaluate=judge_audit"),
    ("prompt inputs.model=scorer", "inputs.model", "inputs.model=FOLDER of a language model"),
    ("finetune inputs.model=scorer", "inputs.model", "inputs.model=FOLDER of a language model"),
    (f"rlvr {M} advantage=gae", "advantage", "one of: advantage=group"),
    (f"rlvr {M} objective=actor_critic advantage=gae", "objective", "one of: objective="),
    (f"ppo {M} inputs.reward=scorer objective=policy", "module.others.critic", "~module.others"),
    (f"rlvr {M} loss.kl=k1", "loss.kl", "loss.kl_in=reward"),
    (f"rlvr {M} objective.minibatches=2", "objective.minibatches", "objective.updates=2"),
    (f"rlvr {M} objective.sampling.metric=x", "objective.sampling", "objective.sampling.metric=null"),
    (f"reinforce {M} inputs.reward=model", "inputs.reward", "inputs.reward=FOLDER of a classifier"),
    (f"best_of_n {M} inputs.reward=model", "inputs.reward", "inputs.reward=FOLDER of a classifier"),
    (
        f"best_of_n {M} inputs.reward=scorer reward@evaluate.best_of_n.gold=learned evaluate.best_of_n.gold.path=model",
        "evaluate.best_of_n.gold.path",
        "evaluate.best_of_n.gold.path=FOLDER of a classifier",
    ),
    (
        f"best_of_n {M} inputs.reward=steps reward@evaluate.best_of_n.gold=process",
        "reward.path",
        "reward.path=FOLDER of a classifier, such as a reward model",
    ),
    (
        f"best_of_n {M} inputs.reward=scorer data=json data.train=rows.jsonl",
        "evaluate.best_of_n.gold",
        "one of: data=storefront_questions",
    ),
    (f"best_of_n {M} inputs.reward=scorer reward=length", "inputs.reward", "~inputs.reward"),
    (f"reinforce {M} inputs.reward=scorer reward=length", "inputs.reward", "~inputs.reward"),
    (f"ppo {M} inputs.reward=scorer model=llama", "critic.dtype", "one of: model=pretrained"),
    (f"online_dpo {M} inputs.reward=scorer model=mixtral", "model.config.vocab_size", "one of: model=pretrained"),
    (f"online_dpo {M} inputs.reward=scorer objective=policy", "loss", "one of: objective=online_preference"),
    (f"finetune {M} objective=supervised +advantage=group", "advantage", "leave it out"),
    (
        f"rating {M} evaluate.rating_agreement.limit=2",
        "evaluate.rating_agreement.limit",
        "evaluate.rating_agreement.limit=3",
    ),
    (f"rating {M} callbacks=judged callbacks.judge.rows=2", "callbacks.judge.rows", "callbacks.judge.rows=3"),
    (
        f"reward_audit {M} data=piqa data.train=piqa.jsonl data.holdout=4 data.columns.completion=choices",
        "data.columns.completion",
        "data.columns.completion=goal",
    ),
    ("evaluate inputs.model=masked evaluate=masked_loss", "encode", "one of: +encode=masked"),
    ("evaluate inputs.model=masked evaluate=masked_loss +encode=masked", "data", "one of: data=storefront_documents"),
    (f"evaluate {M} engine=openai engine.base_url=localhost:8000/v1", "engine.base_url", ""),
    ("pretrain_mlm stage=pretrain", "stage", "stage=fit"),
    ("combine inputs.base=model inputs.a=model inputs.b=model stage=pretrain", "stage", "stage=combine"),
    (f"align {M} encode=completion", "encode", "one of: encode=preference"),
    (f"align {M} loss=grpo", "loss", "one of: loss=dpo_nll, loss=aot, loss=aot_unpaired"),
    (f"align {M} loss=simpo objective.reference=stored", "objective.reference", "objective.reference=live"),
    (f"kto {M} objective.reference=stored", "objective.reference", "objective.reference=live"),
    (f"kto {M} batches.batch_size=1", "batches.batch_size", "batches.batch_size=2"),
    (f"kto {M} loss=dpo", "loss", "one of: loss=kto, loss=apo_zero_unpaired"),
    (f"kto {M} data=storefront_preferences", "data", "data=unpaired"),
    (
        f"kto {M} data@data.sources.pairs=storefront_questions",
        "data.sources.pairs",
        "one of: data@data.sources.pairs=storefr",
    ),
    (f"align {M} data=storefront_documents", "data", "one of: data=storefront_preferences"),
    (f"align {M} model=classifier", "model", "one of: model="),
    (f"align {M} peft=pissa", "peft", "peft=lora"),
    (f"align {M} peft=eva", "peft", "peft=lora"),
    (f"pretrain_continued {M} peft=prompt_tuning", "peft", "peft=lora"),
    (f"align {M} model=nf4", "peft", "peft=lora"),
    (f"align {M} callbacks=early_stopping_judged", "callbacks.early_stopping.monitor", "callbacks.early_stopping.moni"),
    (f"finetune {M} encode=preference", "encode", "one of: encode=completion, encode=assistant"),
    (f"finetune {M} encode=packed", "encode", "one of: encode=completion, encode=assistant"),
    (f"finetune {M} encode=assistant tokenizer=pretrained", "tokenizer", "encode=completion"),
    (f"finetune {M} tokenizer=bpe", "tokenizer", "one of: tokenizer=chat, tokenizer=pretrained"),
    (f"finetune {M} evaluate=masked_loss", "encode", "one of: evaluate=answer_calibration"),
    (f"finetune {M} evaluate=multiple_choice", "data", "one of: evaluate=answer_calibration"),
    (f"finetune {M} batches=streamed", "data", "batches=default"),
    (f"finetune {M} callbacks=early_stopping", "callbacks.early_stopping.monitor", "trainer=validated"),
    (
        f"finetune {M} model=llama_1m tokenizer=pretrained model.config.vocab_size=300 model.parameters=null",
        "model.config.vocab_size",
        "mod",
    ),
    (f"finetune {M} batches.pack=true peft=prompt_tuning", "batches.pack", "batches.pack=false"),
    (
        f"align {M} objective.share_prompts=true peft=p_tuning",
        "objective.share_prompts",
        "objective.share_prompts=false",
    ),
    (
        f"rlvr {M} objective.share_prompts=true trainer=fsdp2",
        "objective.share_prompts",
        "objective.share_prompts=false",
    ),
    (f"finetune {M} batches.pack=true trainer=fsdp2", "batches.pack", "batches.pack=false"),
    (f"finetune {M} trainer=ddp batches.batch_size=3", "batches.batch_size", "batches.batch_size=4"),
    (f"finetune {M} trainer.precision=16-mixed", "optim.fused", "optim.fused=false"),
    (f"finetune {M} data=text data.train=text.txt", "data", "data.columns.prompt=NAME"),
    (f"finetune {M} stage=pretrain", "data", "stage=fit"),
    (f"finetune {M} stage=deploy", "batches", "one of: stage=fit, stage=pretrain"),
    (f"finetune {M} +generate=self_consistency", "generate.num_return_sequences", "generate.num_return_sequences=1"),
    (f"reward {M} encode=prompts", "encode", "one of: encode=preference_margin, encode=preference"),
    (f"reward {M} model=pretrained", "model", "model=classifier"),
    (f"reward {M} evaluate=exact_match", "evaluate.exact_match", "one of: evaluate=preference_accuracy"),
    (f"rlvr {M} loss=dpo", "loss", "one of: loss=grpo, loss=bnpo"),
    (f"rlvr {M} data=storefront_documents", "data", "one of: data=storefront"),
    (f"rlvr {M} data=gsm8k data.train=gsm8k.jsonl", "reward", "one of: data=storefront"),
    (f"rlvr {M} reward=match reward.column=price", "data", ""),
    (f"rlvr {M} reward=judge +inputs.judge=scorer", "inputs.judge", "inputs.judge=FOLDER of a language model"),
    (f"rlvr {M} reward=judge +inputs.judge=gpt-9", "inputs.judge", "inputs.judge="),
    ("pretrain encode=masked", "encode", "one of: encode=packed, encode=windows"),
    ("pretrain model=bert", "model", "one of: model="),
    ("pretrain data=storefront_instructions", "data", "one of: data="),
    ("pretrain_mlm tokenizer.mask=false", "tokenizer.mask", "tokenizer.mask=true"),
    ("pretrain_mlm model=llama", "model", "one of: model=bert, model=modernbert"),
    ("nanogpt data.train=text.txt callbacks=judged", "callbacks.judge.keep", "callbacks.judge.keep=last"),
    (f"prompt {M} prompt=instruct", "stage.baseline", "stage.baseline=instruct"),
    (f"prompt {M} generate@generate.greedy=likelihood", "data", "one of: generate@generate.greedy=greedy"),
    (f"prompt {M} prompt=[bare,worked_answers]", "data", ""),
    (f"prompt {M} data=storefront_documents", "data", "one of: data=storefront"),
    (f"deploy {M} data=storefront_documents", "data", "one of: data=storefront"),
    ("compress inputs.model=scorer", "inputs.model", "inputs.model=FOLDER"),
]
RIGHT = [
    f"evaluate {M} evaluate=[hhh,forgetting]",
    f"evaluate {M} engine=openai evaluate=[hhh,exact_match] +generate=nucleus",
    "evaluate inputs.model=gpt-9 engine=openai",
    f"rlvr {M} reward=judge +inputs.judge=gpt-9 judge@reward.engine=openai rubric@reward.rubric=storefront",
    f"evaluate {M} evaluate=mean_reward +reward=judge +inputs.judge=model",
    f"prompt {M} engine=openai",
    "evaluate inputs.model=scorer evaluate=preference_accuracy data=storefront_preferences",
    "lifecycle engine@prompt.engine=openai",
    f"finetune {M} peft=dora",
    f"align {M} loss=ipo data=hh_rlhf",
    f"align {M} loss=simpo peft=pissa",
    f"kto {M} data@data.sources.pairs=mixture +data@data.sources.pairs.sources.own=storefront_preferences",
    f"compress {M} quant=int4",
    "pretrain model=llama_30m tokenizer=unigram optim=muon schedule=wsd",
    "pretrain_mlm model=modernbert encode=masked_modernbert",
    f"pretrain_continued {M} data=text data.train=text.txt",
    "nanogpt data.train=text.txt",
    "pretrain data=corpus_web batches=streamed 'data.sources={web: text.txt}' samples=general",
    "pretrain data=corpus batches=streamed 'data.sources={web: text.txt}'",
    f"finetune {M} peft=dora batches.pack=true callbacks=judged",
    f"finetune {M} peft=eva",
    f"finetune {M} model=llama_1m tokenizer=pretrained",
    f"finetune {M} callbacks=early_stopping_judged",
    f"finetune {M} callbacks=early_stopping trainer=validated",
    f"finetune {M} data=json data.train=rows.jsonl evaluate=held_out_loss samples=general",
    f"finetune {M} data=gsm8k evaluate=[gsm8k,forgetting]",
    f"finetune {M} trainer=fsdp2",
    f"finetune {M} optim.lr=1e-3 trainer.max_steps=5 peft.r=4",
    f"qlora {M}",
    "combine inputs.base=model inputs.a=model inputs.b=model stage.method=ties",
    f"reinforce {M} inputs.reward=scorer objective.share_prompts=true peft=lora",
    f"ppo {M} inputs.reward=scorer",
    f"best_of_n {M} reward=storefront ~inputs.reward",
    f"online_dpo {M} reward=storefront ~inputs.reward",
    f"reinforce {M} reward=storefront ~inputs.reward",
    "lifecycle recipes@align=reinforce reward@align.reward=storefront ~align.inputs.reward",
    f"rlvr {M} loss=rloo advantage=leave_one_out",
    f"rlvr {M} loss=reinforce_pp advantage=whitened loss.kl_target=1.0",
    f"rlvr {M} loss=dapo objective.sampling.rounds=3",
    f"rlvr {M} reward=gsm8k data=gsm8k",
    f"rlvr {M} loss=dapo reward=match",
    f"rlvr {M} data=mixture +data@data.sources.own=storefront_instructions",
    f"rlvr {M} ~reward +reward@reward.a=storefront +reward@reward.b=repetition",
    f"reward {M} data=hh_rlhf",
    "reward inputs.model=scorer model=pretrained",
    "lifecycle",
    "lifecycle recipes@align=reinforce",
    "lifecycle peft@finetune.peft=ia3 quant@compress.quant=int4",
]


@pytest.mark.parametrize(("command", "key", "remedy"), WRONG)
def test_what_does_not_go_together_is_refused(shop: Path, command: str, key: str, remedy: str) -> None:
    found = errors(command)
    assert found, "it passed"
    assert found[0].key == key
    assert found[0].remedy.startswith(remedy)


@pytest.mark.parametrize("command", RIGHT)
def test_what_goes_together_passes(shop: Path, command: str) -> None:
    assert [str(error) for error in errors(command)] == []


def test_columns_that_people_call_otherwise_are_guessed(shop: Path) -> None:
    Path("qa.csv").write_text("Question,answer\na,b\n")
    (error,) = errors(f"finetune {M} data=csv data.train=qa.csv")
    assert error.remedy == "data.columns.prompt=Question data.columns.completion=answer"
    assert errors(f"finetune {M} data=csv data.train=qa.csv {error.remedy}") == []
