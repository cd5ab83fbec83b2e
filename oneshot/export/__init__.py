"""From a run to a plain network: extracted, written as safetensors, ONNX or a torch.export program."""
