"""The stages, in the order of the pipeline, and the plain verbs for their main commands."""

from __future__ import annotations

STAGES = ("convert", "preprocess", "infer", "metrics", "reports")

#: Plain verb -> the command's file name. Every other command is called by its file's name.
VERBS = {"export": "pth2onnx", "preprocess": "imagenet", "infer": "run"}
