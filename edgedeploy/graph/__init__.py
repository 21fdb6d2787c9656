"""ONNX passes, one a file: each takes an ``onnx_ir.Model`` and changes it in place.

The order is fixed: `shapes.fix_size`, `widen.widen`, `fold_batch_norm.fold_batch_norm`, then
`qdq.quantise` or `float16.to_float16`. Calibration applies the first three as well, so that tensor
names agree.
"""
