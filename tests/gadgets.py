"""Recipes that try to run, read or write something: what a part may be that is no part, by name.

Each would make the file `CANARY` in the working directory, show the text of `secret.txt`, or write outside `outputs`.
"""

from __future__ import annotations

from typing import Any

CANARY = "CANARY"
TOUCH = f"touch {CANARY}"
CODE = f"open('{CANARY}', 'w')"


def node(target: str, *positional: Any, **keywords: Any) -> dict[str, Any]:
    """A mapping that Hydra would call."""
    return {"_target_": target, **({"_args_": list(positional)} if positional else {}), **keywords}


PARTS: dict[str, dict[str, Any]] = {
    # The standard library.
    "system": node("os.system", command=TOUCH),
    "posix_system": node("posix.system", command=TOUCH),
    "popen": node("os.popen", TOUCH),
    "spawn": node("os.spawnlp", 0, "touch", "touch", CANARY),
    "exec": node("os.execlp", "touch", "touch", CANARY),
    "mkdir": node("os.mkdir", CANARY),
    "makedirs": node("os.makedirs", CANARY),
    "symlink": node("os.symlink", "/etc", CANARY),
    "rename": node("os.rename", "secret.txt", CANARY),
    "putenv": node("os.putenv", "PATH", "."),
    "environment": node("os.environ.update", {"PATH": "."}),
    "chdir": node("os.chdir", "/"),
    "run": node("subprocess.run", ["touch", CANARY]),
    "process": node("subprocess.Popen", args=["touch", CANARY]),
    "check_output": node("subprocess.check_output", args=["touch", CANARY]),
    "getoutput": node("subprocess.getoutput", cmd=TOUCH),
    "eval": node("builtins.eval", CODE),
    "exec_builtin": node("builtins.exec", CODE),
    "compile": node("builtins.compile", CODE, "x", "exec"),
    "open": node("builtins.open", file=CANARY, mode="w"),
    "print_of_a_file": node("builtins.print", node("builtins.open", "secret.txt")),
    "import": node("builtins.__import__", "evil"),
    "getattr": node("builtins.getattr", node("builtins.__import__", "os"), "system"),
    "import_module": node("importlib.import_module", "evil"),
    "run_path": node("runpy.run_path", "evil.py"),
    "run_module": node("runpy.run_module", "evil"),
    "exec_spec": node("importlib.machinery.SourceFileLoader", "evil", "evil.py"),
    "copy": node("shutil.copy", "secret.txt", CANARY),
    "rmtree": node("shutil.rmtree", "outputs"),
    "unpack": node("shutil.unpack_archive", "evil.zip", "."),
    "path_touch": node("pathlib.Path.touch", node("pathlib.Path", CANARY)),
    "path_write": node("pathlib.Path.write_text", node("pathlib.Path", CANARY), "x"),
    "path_read": node("pathlib.Path.read_text", node("pathlib.Path", "secret.txt")),
    "partial": node("functools.partial", node("hydra.utils.get_method", path="os.system"), TOUCH),
    "reduce": node("functools.reduce", node("hydra.utils.get_method", path="builtins.exec"), [CODE]),
    "methodcaller": node("operator.methodcaller", "touch"),
    "attrgetter": node("operator.attrgetter", "__class__.__base__"),
    "function_type": node("types.FunctionType"),
    "pickle": node("pickle.load", node("builtins.open", "evil.pkl", "rb")),
    "marshal": node("marshal.load", node("builtins.open", "evil.pkl", "rb")),
    "shelve": node("shelve.open", filename=CANARY),
    "sqlite": node("sqlite3.connect", database=CANARY),
    "temporary": node("tempfile.NamedTemporaryFile", dir=".", delete=False),
    "urlretrieve": node("urllib.request.urlretrieve", "file:secret.txt", CANARY),
    "urlopen": node("urllib.request.urlopen", "file:secret.txt"),
    "socket": node("socket.create_connection", ["127.0.0.1", 9]),
    "library": node("ctypes.CDLL", "./evil.so"),
    "timeit": node("timeit.timeit", stmt=CODE),
    "profile": node("cProfile.run", CODE),
    "console": node("code.interact"),
    "browser": node("webbrowser.open", "file:secret.txt"),
    "log_file": node("logging.FileHandler", filename=CANARY),
    "log_configuration": node("logging.config.dictConfig", {"version": 1}),
    "timer": node("threading.Timer", 0, node("hydra.utils.get_method", path="os.abort")),
    "fork": node("multiprocessing.Process"),
    "mail": node("smtplib.SMTP", "127.0.0.1"),
    "yaml_load": node("yaml.unsafe_load", f"!!python/object/apply:os.system ['{TOUCH}']"),
    # Libraries, by names that could pass for parts.
    "numpy_load": node("numpy.load", "evil.pkl", allow_pickle=True),
    "numpy_save": node("numpy.save", CANARY, [1]),
    "joblib_load": node("joblib.load", "evil.pkl"),
    "torch_load": node("torch.load", f="evil.pt", weights_only=False),
    "torch_save": node("torch.save", [1], CANARY),
    "torch_load_by_module": node("torch.optim.optimizer.torch.load", f="evil.pt", weights_only=False),
    "torch_hub": node("torch.hub.load", repo_or_dir=".", model="evil", source="local"),
    "torch_jit": node("torch.jit.load", "evil.pt"),
    "torch_extension": node("torch.utils.cpp_extension.load", name="evil", sources=["evil.cpp"]),
    "torch_library": node("torch.ops.load_library", path="evil.so"),
    "torch_command": node("torch.utils.collect_env.run", command=TOUCH),
    "torch_launcher": node("torch.distributed.run.main", ["evil.py"]),
    "torch_package": node("torch.package.PackageImporter", "evil.pt"),
    "transformers_os": node("transformers.utils.hub.os.system", command=TOUCH),
    "transformers_pipeline": node("transformers.pipeline", model="model", trust_remote_code=True),
    "transformers_module": node("transformers.dynamic_module_utils.get_class_from_dynamic_module", "own.Own", "model"),
    "remote_tokenizer": node("transformers.AutoTokenizer.from_pretrained", "model", trust_remote_code=True),
    "remote_model": node("transformers.AutoModelForCausalLM.from_pretrained", "model", trust_remote_code=True),
    "remote_config": node("transformers.AutoConfig.from_pretrained", "model", trust_remote_code="true"),
    "generate_code": node("transformers.GenerationConfig", custom_generate="model"),
    "save_pretrained": node("transformers.PretrainedConfig.save_pretrained", node("transformers.LlamaConfig"), CANARY),
    "datasets_script": node("datasets.load_dataset", "evil.py", trust_remote_code=True),
    "datasets_disk": node("datasets.load_from_disk", "evil"),
    "datasets_globals": node("datasets.load_dataset.__globals__"),
    "peft_load": node("peft.PeftModel.from_pretrained", None, "evil"),
    "trl_trainer": node("trl.SFTTrainer", model="model"),
    "trl_exit": node("trl.rewards.sys.exit", 0),
    "trl_thread": node("trl.rewards.accuracy_rewards.threading.Thread"),
    "lightning_load": node("pytorch_lightning.LightningModule.load_from_checkpoint", "evil.pt"),
    "lightning_os": node("pytorch_lightning.trainer.trainer.os.system", TOUCH),
    "hydra_call": node("hydra.utils.call", {"_target_": "os.system", "command": TOUCH}),
    "hydra_locate": node("hydra._internal.utils._locate", path="os.system"),
    "hydra_method": node("hydra.utils.get_method", path="os.system"),
    "hydra_class": node("hydra.utils.get_class", path="subprocess.Popen"),
    "hydra_object": node("hydra.utils.get_object", path="os.environ"),
    "hydra_builtins": node("hydra.utils.get_object", path="hydra.utils.__builtins__"),
    # Our own engine room.
    "own_main": node("llmcycle.cli.main", ["gc"]),
    "own_gc": node("llmcycle.store_verbs.gc"),
    "own_allow": node("llmcycle.config.allow.allow", name="os"),
    "own_worker": node("llmcycle.worker.work"),
    "own_writer": node("llmcycle.files.write_synced", CANARY, "x"),
    "own_store": node("llmcycle.artifact.Store", CANARY),
    "own_server": node("llmcycle.deploy.serve", "model"),
    "own_shutil": node("llmcycle.artifact.store.shutil.rmtree", "outputs"),
    # Spellings.
    "nested_argument": node("toy.Rows", train="rows.txt", count=node("os.system", command=TOUCH)),
    "nested_list": node("toy.Rows", train="rows.txt", count=[[node("os.system", command=TOUCH)]]),
    "in_positional": node("toy.Rows", "rows.txt", node("os.system", command=TOUCH)),
    "not_recursive": node("toy.Rows", train="rows.txt", count=node("os.system", command=TOUCH), _recursive_=False),
    "partial_node": node("os.system", command=TOUCH, _partial_=True),
    "converted_node": node("os.system", command=TOUCH, _convert_="object"),
    "blank_behind": node("os.system ", command=TOUCH),
    "by_environment": node("${oc.env:GADGET}", command=TOUCH),
    "by_default": node("${oc.env:NOTHING_HERE,os.system}", command=TOUCH),
    "by_decoding": node("${oc.decode:os.system}", command=TOUCH),
    "by_key": {"_target_": "${.name}", "name": "os.system", "command": TOUCH},
    "created": {"x": "${oc.create:'{_target_: os.system, command: " + TOUCH + "}'}"},
    "created_decoded": {"x": "${oc.create:${oc.decode:'{_target_: os.system, command: " + TOUCH + "}'}}"},
    "list_for_a_name": {"_target_": ["os", "system"], "command": TOUCH},
    "mapping_for_a_name": {"_target_": {"_target_": "os.system", "command": TOUCH}},
    "unknown_resolver": {"x": "${eval:" + CODE + "}"},
    "python_resolver": {"x": "${python:os.system}"},
}
# What writes outside of `outputs` by an argument of a class that recipes may name.
ELSEWHERE = "elsewhere"
WRITERS: dict[str, dict[str, Any]] = {
    "checkpoints": {"callbacks": {"mine": node("pytorch_lightning.callbacks.ModelCheckpoint", dirpath=ELSEWHERE)}},
    "checkpoints_above": {
        "callbacks": {"mine": node("pytorch_lightning.callbacks.ModelCheckpoint", dirpath="outputs/../elsewhere")}
    },
    "checkpoint_name": {
        "callbacks": {"mine": node("pytorch_lightning.callbacks.ModelCheckpoint", filename="../../../../elsewhere")}
    },
    "exception": {"callbacks": {"mine": node("pytorch_lightning.callbacks.OnExceptionCheckpoint", dirpath=ELSEWHERE)}},
    "root": {"trainer": node("pytorch_lightning.Trainer", default_root_dir=ELSEWHERE)},
    "profiler": {
        "trainer": {
            **node("pytorch_lightning.Trainer"),
            "profiler": node("pytorch_lightning.profilers.SimpleProfiler", dirpath=ELSEWHERE, filename="x"),
        }
    },
    "csv": {"logger": node("pytorch_lightning.loggers.CSVLogger", save_dir=ELSEWHERE)},
    "csv_name": {"logger": node("pytorch_lightning.loggers.CSVLogger", name="../../../../elsewhere")},
    "csv_version": {"logger": node("pytorch_lightning.loggers.CSVLogger", name="", version="../../../elsewhere")},
    "tensorboard": {"logger": node("pytorch_lightning.loggers.TensorBoardLogger", save_dir=ELSEWHERE)},
    "wandb": {"logger": node("pytorch_lightning.loggers.WandbLogger", save_dir=ELSEWHERE)},
    "own_wandb": {"logger": {"wandb": {"save_dir": ELSEWHERE}}},
    "mlflow": {"logger": node("pytorch_lightning.loggers.MLFlowLogger", tracking_uri="file:elsewhere")},
    "positional": {"logger": node("pytorch_lightning.loggers.CSVLogger", ELSEWHERE)},
    "downloads": {"model": {"cache_dir": ELSEWHERE}},
}
