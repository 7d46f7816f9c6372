"""Trained models outside a run: one ONNX file from bytes to coordinates, people in any image, cost and speed."""
