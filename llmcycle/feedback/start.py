"""`llmcycle feedback`: items are made once, and labelled on a page or in the terminal until all have a label."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from llmcycle.config.errors import ConfigError
from llmcycle.data.chat import encode_prompt_completion
from llmcycle.data.encode import Row
from llmcycle.feedback.app import build_app
from llmcycle.feedback.choose import Choice
from llmcycle.feedback.desk import LABELS, Desk, mixed
from llmcycle.feedback.items import Item, Task, gold_of, items_of, read, save
from llmcycle.feedback.journal import read_events
from llmcycle.feedback.labels import Labels
from llmcycle.feedback.login import Doorkeeper
from llmcycle.feedback.prompts import held_out, own_recipe
from llmcycle.feedback.rows import POOL, SPARE, Draw, answered, prompts_of, rows_of_file
from llmcycle.feedback.summary import summary
from llmcycle.feedback.terminal import label_here
from llmcycle.feedback.training_rows import FILES, PREFERENCES, RATINGS
from llmcycle.feedback.uncertainty import chosen_pairs
from llmcycle.files import sha256, write_synced
from llmcycle.port import is_local, listen
from llmcycle.web import address, make_server

ITEMS, SETTINGS = "items.jsonl", "settings.json"
SHORT = 256  # tokens, of the longest row that recipes take as they are
FEW, HELD = 40, 4  # rows below which a tenth of them is too little to score on, and how many are held out then
ASKED: dict[Task, str] = {"choice": "to choose from", "rating": "to rate", "edit": "to edit"}


@dataclass(frozen=True)
class Settings:
    """What items are made of; the same settings go on with the same items.

    Args:
        task: what is asked: "choice", "rating" or "edit".
        count: items, gold questions not counted.
        seed: draws prompts, answers, pairs, and the order in which two answers are shown.
        choose: which pairs: "random", "margin" or "information" (see `llmcycle.feedback.choose`).
        reward: the folder of the reward model that `choose` asks; "" for none.
        stars: the highest rating.
        models: folders of the models that are asked.
        rows: a file of rows with answers, in the place of models.
        prompts: a file of prompts; "" for those of `recipe`.
        recipe: whose held-out prompts are taken; "" for the first model's own.
        gold: a file of questions whose right label is known; "" for none.
        seen: a file of pairs that the reward model has learnt from; "" for none.
        draw: see `llmcycle.feedback.rows.Draw`.
        outputs: the folder of the store that a recipe's inputs are found in; it makes no difference to the items.
    """

    task: Task = "choice"
    count: int = 100
    seed: int = 0
    choose: Choice = "random"
    reward: str = ""
    stars: int = 5
    models: tuple[str, ...] = ()
    rows: str = ""
    prompts: str = ""
    recipe: str = ""
    gold: str = ""
    seen: str = ""
    draw: dict[str, Any] = field(default_factory=dict)
    outputs: str = "outputs"

    @property
    def makes_items(self) -> bool:
        """Whether answers are named, or else the folder must have its items already."""
        return bool(self.models or self.rows)

    @property
    def record(self) -> dict[str, Any]:
        """As it is kept beside the items: files by their content too."""
        digests = {
            n: sha256(Path(p)) for n in ("rows", "prompts", "gold", "seen") if Path(p := getattr(self, n)).is_file()
        }
        return json.loads(json.dumps({**asdict(self), "outputs": "", "sha256": digests}))  # type: ignore[no-any-return]


def make_items(settings: Settings) -> list[Item]:
    """Ask the models or read the rows, choose, and mix gold questions in.

    Raises:
        ValueError: a file, a recipe or a model can't be used.
    """
    rows = rows_of_file(settings.rows, "--rows") if settings.rows else asked(settings)
    items = items_of(rows, settings.task, settings.rows or "the models' answers")
    if not items:
        reason = "no prompt has two different answers" if settings.task == "choice" else "there is no answer"
        raise ConfigError("--samples", f"{reason}: nothing to label", "--samples 4 --temperature 1.0")
    gold = gold_of(rows_of_file(settings.gold, "--gold"), settings.task, settings.gold) if settings.gold else []
    seen = items_of(rows_of_file(settings.seen, "--seen"), "choice", settings.seen) if settings.seen else []
    reward = Path(settings.reward) if settings.reward else None
    chosen = chosen_pairs(items, settings.choose, settings.count, reward, seen, settings.seed)
    if len(chosen) < settings.count:
        print(f"{len(chosen)} items, where {settings.count} were wanted: there are no other answers to label")
    return mixed(chosen, gold, settings.seed)


def asked(settings: Settings) -> list[Row]:
    """The models' answers to prompts of a file or of a recipe."""
    folders = [Path(folder) for folder in settings.models]
    recipe = settings.recipe or ("" if settings.prompts else own_recipe(folders[0]))
    rows = rows_of_file(settings.prompts, "--prompts") if settings.prompts else held_out(recipe, settings.outputs)
    wanted = settings.count * (SPARE if settings.choose == "random" else POOL)
    prompts = prompts_of(rows, settings.prompts or recipe, wanted, settings.seed)
    return answered(folders, prompts, Draw(**settings.draw, seed=settings.seed))


def prepared(folder: Path, settings: Settings) -> tuple[list[Item], Settings]:
    """The items of a folder, made now where there are none, and what they were made of.

    Raises:
        ConfigError: the folder has other items, or none although nothing is named to make them of.
    """
    there = (folder / ITEMS).exists()
    if not settings.makes_items:
        if not there:
            reason = "it has no items, and nothing is named to make them of"
            raise ConfigError(f"--out {folder}", reason, "llmcycle feedback ARTIFACT, or --rows FILE")
        record = json.loads((folder / SETTINGS).read_text("utf-8"))
        record.pop("sha256")
        settings = Settings(**{**record, "models": tuple(record["models"]), "outputs": settings.outputs})
    elif there:
        refuse_other(folder, settings.record)
    else:
        refuse_foreign(folder)
        items = make_items(settings)
        folder.mkdir(parents=True, exist_ok=True)
        write_synced(folder / SETTINGS, json.dumps(settings.record, indent=2) + "\n")
        save(items, folder / ITEMS)
    return read(folder / ITEMS), settings


def refuse_other(folder: Path, record: dict[str, Any]) -> None:
    """ConfigError where the items of a folder were made of something else."""
    before = json.loads((folder / SETTINGS).read_text("utf-8"))
    other = [key for key in record if before.get(key) != record[key]]
    if other:
        said = f"{other[0]} was {json.dumps(before.get(other[0]))} and is {json.dumps(record[other[0]])}"
        raise ConfigError(f"--out {folder}", f"its items were made otherwise: {said}", f"--out {unused(folder)}")


def refuse_foreign(folder: Path) -> None:
    """ConfigError where a folder without items has files that labelling would write over."""
    if foreign := [name for name in (LABELS, *FILES) if (folder / name).exists()]:
        reason = f"it has a {foreign[0]} and no items: the file is of something else, and is left alone"
        raise ConfigError(f"--out {folder}", reason, f"--out {unused(folder)}")


def unused(folder: Path) -> Path:
    """The folder, with a number behind its name that no other has."""
    names = (folder.parent / f"{folder.name or 'feedback'}-{n}" for n in count(2))
    return next(path for path in names if not path.exists())


def feedback(
    folder: Path,
    settings: Settings,
    annotators: list[str],
    host: str = "127.0.0.1",
    port: int = 8001,
    password: str | None = None,
    terminal: bool = False,
) -> None:
    """Label until Ctrl-C, or in the terminal until all is done; then say what has come of it and what to type next.

    Args:
        folder: of items, labels and rows for training.
        annotators: who may come in; the terminal is the first one's.

    Raises:
        ValueError: the items can't be made, or the address can't be listened on.
    """
    items, settings = prepared(folder, settings)
    with closing(Desk(folder, items, settings.task, settings.stars, settings.seed)) as desk:
        if desk.journal.cut:
            print(f"{folder / LABELS}: {desk.journal.cut} bytes of a line that a kill had torn were cut off")
        if terminal:
            label_here(desk, annotators[0])
        else:
            serve(desk, Doorkeeper(annotators, password), host, port)
        print("\n".join(ending(folder, settings, desk.labels, items)), flush=True)


def report(folder: Path) -> None:
    """Say what has come of a folder so far; it may be labelled in at the same time.

    Raises:
        ConfigError: it has no items.
    """
    items, settings = prepared(folder, Settings())
    labels = Labels(read_events(folder / LABELS), (item.id for item in items))
    print("\n".join(ending(folder, settings, labels, items)))


def serve(desk: Desk, keeper: Doorkeeper, host: str, port: int) -> None:
    """Serve the page until Ctrl-C, after saying where it is and who comes in by which password."""
    app = build_app(desk, keeper, local=is_local(host))
    with listen(host, port) as sock:
        print(f"{len(desk.items)} items {ASKED[desk.task]}; the page is at {address(host, sock.getsockname()[1])}")
        width = max(map(len, keeper.passwords))
        for name, password in keeper.passwords.items():
            print(f"  name {name:<{width}}   password {password}")
        if not is_local(host):
            print("  others on the network can read what is sent: put a proxy with TLS in front")
        print(f"labels go to {desk.folder / LABELS}; Ctrl-C ends", flush=True)
        with suppress(KeyboardInterrupt):  # uvicorn passes it on once everything is closed
            make_server(app).run(sockets=[sock])


def ending(folder: Path, settings: Settings, labels: Labels, items: list[Item]) -> Iterator[str]:
    """What has been labelled, the files, and the command that trains on them."""
    yield from summary(labels, items, settings.task)
    counts = {name: len(path.read_text("utf-8").splitlines()) for name in FILES if (path := folder / name).exists()}
    if not counts:
        yield f"nothing to train on yet; go on with: llmcycle feedback --out {shlex.quote(str(folder))}"
        return
    for name, number in counts.items():
        yield f"{folder / name}: {number} rows"
    name = next(name for name in (PREFERENCES, RATINGS, *FILES) if name in counts)
    yield f"next: {command(folder / name, settings.models)}"


def command(path: Path, models: Sequence[str]) -> str:
    """The command that trains on a file of rows, as it is typed."""
    recipe = {PREFERENCES: "reward", RATINGS: "rating"}.get(path.name, "finetune")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    prompts = len({json.dumps(row["prompt"]) for row in rows})
    held = 0 if prompts <= HELD else HELD if len(rows) < FEW else 0.1
    model = models[0] if models else "ID"
    words = ["llmcycle", recipe, f"inputs.model={model}", "data=json", f"data.train={path}"]
    words += [f"data.holdout={held}"] if held else ["data.holdout=0", "~evaluate"]
    words += [f"encode.max_length={longest}"] if models and (longest := tokens(model, rows)) > SHORT else []
    return shlex.join(words)


def tokens(model: str, rows: list[Row]) -> int:
    """Tokens of the longest prompt with its answer, to the next multiple of 64."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    texts = [(row["prompt"], row[side]) for row in rows for side in ("chosen", "rejected", "completion") if side in row]
    longest = max(len(encode_prompt_completion(tokenizer, *pair)["input_ids"]) for pair in texts)
    return -(-longest // 64) * 64
