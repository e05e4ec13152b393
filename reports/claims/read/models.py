"""Which model a line is about, in a document that shows runs of several."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from portproof.reports.claims.read.plain_text import Document

_IN_COMMAND = re.compile(
    r"(?:--(?:onnx|loadEngine|model)|-om_path|-m)[= ](\S{1,200}?\.(?:onnx|om|trt|engine|plan))\b"
)
#: Parts of a file name that tell variants of one model apart, and no models.
_VARIANT = re.compile(
    r"[_.-]?(?:bs|batch_?(?:size)?)_?\d{1,4}|[_.-](?:dy(?:nam\w*)?(?:bs)?|sim\w*|fix\w*|new|mod\w*"
    r"|opt\w*|aoe|auto|fp16|fp32|int8|npu|gpu|om|310[pb]?\d?|710|t4|v?\d+)(?=[_.-]|$)",
    re.IGNORECASE,
)
_LEAST = 2


class Models:
    """The models that a document's commands name; none where they all name one."""

    def __init__(self, document: Document) -> None:
        self.named: list[tuple[int, str]] = []
        for number, line in enumerate(document.lines):
            for match in _IN_COMMAND.finditer(line):
                self.named.append((number, _bare(match[1])))
        stems = {stem for _, stem in self.named if len(stem) >= _LEAST}
        # "resnet" and "resnet_a" may be one: only names that hold no other name tell models apart.
        apart = {a for a in stems if not any(a != b and (a in b or b in a) for b in stems)}
        self.stems = apart if len(apart) == len(stems) > 1 else set()
        patterns = {stem: rf"(?<![a-z0-9]){re.escape(stem)}(?![a-z0-9])" for stem in self.stems}
        self.words = {stem: re.compile(text, re.IGNORECASE) for stem, text in patterns.items()}
        self.lines = document.lines if self.stems else []

    def of(self, number: int, below: bool = False) -> str | None:
        """The model that a line names, or else (with ``below``) the last command above it."""
        if not self.stems:
            return None
        named = {s for s, word in self.words.items() if word.search(self.lines[number])}
        if named:
            return named.pop() if len(named) == 1 else None
        above = [stem for at, stem in self.named if at <= number] if below else []
        return above[-1] if above else None

    def part(self, claim: int, log: int) -> bool:
        """Whether the line of a claim names another model than the one of a log (or a worked
        figure) at another line.
        """
        stated, shown = self.of(claim), self.of(log, below=True)
        return stated is not None and shown is not None and stated != shown


def _bare(path: str) -> str:
    """A model's name, from its file's, without what names a variant."""
    stem = PurePosixPath(path).stem
    return _VARIANT.sub("", stem).strip("_.-").lower()
