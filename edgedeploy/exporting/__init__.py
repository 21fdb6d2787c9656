"""Export stage: trained weights, or a torch module, in; an ONNX file with metadata out."""
