"""Files and data sets of the Hub as rows, with every text as it is written: nothing is guessed, nothing is shifted."""

from llmcycle.data.read.files import first_row, is_local, iterate_file, local_files, read_files
from llmcycle.data.read.formats import PACKED, Unit, kind
from llmcycle.data.read.hub import read_hub, stream_hub

__all__ = [
    "PACKED",
    "Unit",
    "first_row",
    "is_local",
    "iterate_file",
    "kind",
    "local_files",
    "read_files",
    "read_hub",
    "stream_hub",
]
