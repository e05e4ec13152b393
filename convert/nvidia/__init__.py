"""From ONNX to TensorRT engines."""
