"""Credentials come in by many places and by many ways, and stand in no file and in no message."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

import pytest
import yaml
from toy import command

from llmcycle import masking
from llmcycle.masking import MASK, Screen, cleaned, is_secret, notice, shown

ODD = "p\"a'ss&<wörd>\\9"  # what JSON, HTML, YAML, URLs and shells each write in their own way


def canary(number: int) -> str:
    return f"can4ry-{number:02}-x9"


# In a recipe: what stands below `stage.words`, and the credential in it.
IN_RECIPE: dict[str, tuple[Any, str]] = {
    "api_key": ({"api_key": canary(1)}, canary(1)),
    "nested": ({"login": {"deep": {"password": canary(2)}}}, canary(2)),
    "list_of_mappings": ([{"name": "a"}, {"token": canary(3)}], canary(3)),
    "authorization": ({"headers": {"Authorization": f"Bearer {canary(4)}"}}, canary(4)),
    "header_line": ({"headers": [f"X-Api-Key: {canary(5)}"]}, canary(5)),
    "url_password": ({"url": f"https://user:{canary(6)}@host.example/v1"}, canary(6)),
    "url_user": ({"url": f"https://{canary(7)}@host.example/v1"}, canary(7)),
    "query": ({"url": f"https://host.example/a?token={canary(8)}&b=1"}, canary(8)),
    "signed_query": ({"url": f"https://host.example/a?b=1&X-Amz-Signature={canary(9)}"}, canary(9)),
    "environment": ({"place": "${oc.env:TOY_NAMED}"}, canary(10)),
    "environment_inside": ({"place": "a/${oc.env:TOY_INSIDE}/b"}, canary(11)),
    "environment_default": ({"api_key": f"${{oc.env:TOY_UNSET,{canary(12)}}}"}, canary(12)),
    "environment_url": ({"place": "${oc.env:TOY_URL}"}, canary(13)),
    "json_text": ({"extra": f'{{"secret": "{canary(14)}"}}'}, canary(14)),
    "passphrase": ({"passphrase": "correct horse battery staple"}, "horse battery"),
    "odd_characters": ({"password": ODD}, "wörd>"),
    "camel_case": ({"hfToken": canary(17)}, canary(17)),
    "below_a_secret_key": ({"credentials": {"user": canary(18)}}, canary(18)),
    "known_form": ({"note": f"sk-{canary(19)}-abcdefgh"}, canary(19)),
    "secret_access_key": ({"aws": {"SecretAccessKey": canary(20)}}, canary(20)),
    "reference": ({"a": {"access_token": canary(21)}, "b": "${.a.access_token}"}, canary(21)),
    "words_of_a_key_in_a_text": ({"options": f"a=1 api_key={canary(22)} b=2"}, canary(22)),
}
# Typed, in the environment, and in an option of the user's.
TYPED = {
    "override": ([f"++stage.words.typed.api_key={canary(31)}"], canary(31)),
    "override_of_a_mapping": ([f"++stage.words.typed={{login: {{password: {canary(32)}}}}}"], canary(32)),
    "override_of_a_list": ([f'++stage.words.typed=["https://u:{canary(33)}@h"]'], canary(33)),
    "override_by_reference": (["'++stage.words.typed=${oc.env:TOY_NAMED}'".strip("'")], canary(10)),
}
ENVIRONMENT = {
    "TOY_NAMED": canary(10),
    "TOY_INSIDE": canary(11),
    "TOY_URL": f"postgres://user:{canary(13)}@host",
    "TOY_TOKEN": canary(40),  # named nowhere
}
ALL = {canary(n) for n in (*range(1, 15), *range(17, 23), *range(31, 34), 40)} | {"horse battery", "wörd", ODD}
OVERRIDES = [word for words, _ in TYPED.values() for word in words[:1]][:1] + TYPED["override_by_reference"][0]


@pytest.fixture
def spilling(toys: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A recipe with a credential in every place, whose stage prints, writes and raises all that it is told."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    words = {name: value for name, (value, _) in IN_RECIPE.items()}
    body = {
        "defaults": ["/stage_schema", "/base", {"/logger": "csv"}, {"/shelf": "mine"}, "_self_"],
        "name": "spill",
        "inputs": {},
        "stage": {"_target_": "toy.spill", "words": {**words, "option": "${...shelf}"}},
    }
    (toys / "recipes" / "spill.yaml").write_text("# @package _global_\n" + yaml.safe_dump(body, allow_unicode=True))
    (toys / "conf" / "shelf").mkdir()
    (toys / "conf" / "shelf" / "mine.yaml").write_text(f"# Mine\nserver: {{access_key: {canary(34)}}}\n")
    yield toys
    masking._known.clear()


def leaks(folder: Path, said: str) -> set[str]:
    """Where a credential stands: in what was said, or in a file that the test has not written itself."""
    places = {"said": said.encode()}
    own = (folder / "recipes", folder / "conf")
    places |= {
        str(path.relative_to(folder)): path.read_bytes() + str(path).encode()
        for path in folder.rglob("*")
        if path.is_file() and not any(path.is_relative_to(each) for each in own)
    }
    secrets = {*ALL, canary(34), *ODD.split("&")}
    return {f"{name}: {secret}" for name, text in places.items() for secret in secrets if secret.encode() in text}


WAYS = {
    "run": ([], 0),
    "forced": (["--force"], 0),
    "sweep": (["-m", "seed=0,1"], 0),
    "failing": (["seed=7"], 1),
    "check": (["check"], 0),
    "cfg": (["--cfg", "job"], 0),
    "cfg_resolved": (["--cfg", "all", "--resolve"], 0),
    "info": (["--info", "all"], 0),
    "help": (["--help"], 0),
    "mistyped": (["++stage.wrods=1"], 2),
    "refused_part": (["+peft=lora", "peft.r=x"], 2),
    "missing_option": (["shelf=none"], 2),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_credential_is_written_or_said(
    spilling: Path, way: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words, code = WAYS[way]
    if way == "failing":
        monkeypatch.setenv("TOY_FAIL", "spill")
    typed = [word for overrides, _ in TYPED.values() for word in overrides]
    typed = [word.replace("words.typed", f"words.typed_{number}") for number, word in enumerate(typed)]
    verbs = [word for word in words if word == "check"]
    assert command(*verbs, "recipes/spill.yaml", *typed, *[word for word in words if word not in verbs]) == code
    said = capfd.readouterr()
    assert leaks(spilling, said.out + said.err) == set()
    if way in ("run", "sweep", "failing", "cfg"):
        assert MASK in said.out, "it says nothing at all"


def test_twenty_places_are_tried() -> None:
    assert len(IN_RECIPE) + len(TYPED) + 2 >= 20, "with the option, and the variable that nothing names"


@pytest.mark.parametrize("words", [["serve", "none", "--api-key", canary(1)], ["chat", f"--api-key={canary(1)}"]])
def test_flags_of_verbs(here: Path, words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert command(*words) == 2
    said = capfd.readouterr()
    assert canary(1) not in said.out + said.err


@pytest.mark.parametrize(
    "body",
    [f"password: {canary(1)}\nb: [\n", f"- token: {canary(1)}\n", f"defaults: [base]\nx: {{api_key: {canary(1)}}}"],
)
def test_a_recipe_that_is_refused_is_shown_without_them(
    here: Path, body: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("mine.yaml").write_text(body)
    for words in (["check", "./mine.yaml"], ["./mine.yaml"], ["./mine.yaml", "--help"]):
        assert command(*words) == (0 if "--help" in words and "defaults" in body else 2)
    said = capfd.readouterr()
    assert canary(1) not in said.out + said.err


@pytest.mark.parametrize(
    "tree",
    [
        {"key": "user_id"},
        {"eos_token": "<|endoftext|>", "pad_token": "padding"},
        {"prompt": "The secret: nobody knows it. Key: value, token: word"},
        {"path": "${oc.env:LLMCYCLE_OUTPUTS,outputs}"},
        {"url": "https://host.example:8000/v1?limit=5000000"},
        {"token": "1234567"},
    ],
)
def test_what_is_none_stays(tree: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_known", set())
    monkeypatch.setenv("LLMCYCLE_OUTPUTS", "not-there-yet")
    before = [*tree.values(), "nobody knows", "not-there-yet", "padding", "5000000"]
    notice(tree)
    assert [shown(text) for text in before] == before


def test_keys() -> None:
    assert all(map(is_secret, ("api_key", "apiKey", "X-Api-Key", "HF_TOKEN", "db.password", "Authorization", "cookie")))
    notice(["auth: basic_login", "sig=rounded_2", "auth_key: basic_logout"])
    assert shown("basic_login rounded_2 basic_logout") == "basic_login rounded_2 ***"
    assert not any(map(is_secret, ("tokenizer", "pad_token", "monkey", "author", "keyword", "max_tokens")))


def test_a_logger_that_outlives_its_stream_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = (tmp_path / "log").open("w")
    handler = logging.StreamHandler(cast(TextIO, Screen(stream)))
    log = logging.getLogger("outlived")
    log.addHandler(handler)
    log.warning("early")
    stream.close()
    log.warning("late")
    handler.flush()
    log.removeHandler(handler)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("llmcycle finetune logger.api_key=abc data=abc", "llmcycle finetune logger.api_key=*** data=abc"),
        ("--api-key abc --host abc", "--api-key *** --host abc"),
        ('{"api_key": "abc", "name": "abc"}', '{"api_key": "***", "name": "abc"}'),
        ("login: {password: 'abc'}", "login: {password: '***'}"),
        ("https://me:abc@host/abc", "https://me:***@host/abc"),
        ("https://host/a?token=abc&b=abc", "https://host/a?token=***&b=abc"),
        ("the server refused x-y1z, not x-y1zz", "the server refused ***, not x-y1zz"),
        ("an abcd is no abc", "an abcd is no abc"),
    ],
)
def test_a_short_credential_is_replaced_where_a_key_says_it(text: str, safe: str) -> None:
    try:
        notice([{"api_key": "abc", "secret": "x-y1z"}, {"token": "null", "password": ""}])
        assert shown(text) == safe
        assert shown("token: null, password: ''") == "token: null, password: ''"
        tree = {"login": {"password": "abc"}, "names": ["abc"], "n": 3}
        assert cleaned(tree) == {"login": {"password": MASK}, "names": ["abc"], "n": 3}
    finally:
        masking._known.clear()


def test_a_short_credential_stands_in_no_file_of_a_run(
    spilling: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOY_SHORT_KEY", "k-4t9")
    short = ["++stage.words.short.api_key=zq7", "++stage.words.short.password=${oc.env:TOY_SHORT_KEY}"]
    assert command("recipes/spill.yaml", *short) == 0
    said = capfd.readouterr()
    own = (spilling / "recipes", spilling / "conf")
    files = [path for path in spilling.rglob("*") if path.is_file() and not any(map(path.is_relative_to, own))]
    texts = {str(path): path.read_bytes().decode("utf-8", "replace") for path in files} | {"said": said.out + said.err}
    assert {name for name, text in texts.items() if "zq7" in text or "k-4t9" in text} == set()
