"""From ONNX to ``.om`` with Ascend's compiler."""
