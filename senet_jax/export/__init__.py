"""Networks as files for other programs: StableHLO, ONNX and OpenVINO, each compared before use."""
