"""Services for every stage: errors, files, options, progress, text, external programs; and the
stages themselves.
"""

from __future__ import annotations

#: In the order of the pipeline.
STAGES = ("convert", "preprocess", "infer", "metrics", "reports")

#: Plain verb -> the command's file name. Every other command is called by its file's name.
VERBS = {"export": "pth2onnx", "preprocess": "imagenet", "infer": "run"}
