"""ONNX files of lower precision, checked by running both."""
