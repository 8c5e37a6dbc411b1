"""The precision of convolutions: float32, or in training bfloat16 where the processor multiplies it.

No bound that is reported or compared is of bfloat16: only the training step asks for it.
"""

import contextlib
import contextvars
import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf

CPUINFO = pathlib.Path("/proc/cpuinfo")
INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}

_products: contextvars.ContextVar[tf.DType] = contextvars.ContextVar("products", default=tf.float32)


def multiplies_bfloat16() -> bool:
    """Tells whether TensorFlow convolves bfloat16 faster than float32 on this machine.

    That needs a processor with instructions for it, and oneDNN's kernels, which use them. Without them bfloat16 is
    slower, or not implemented. GPUs and TPUs choose their own precision.
    """
    is_off = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower() in ("0", "false")  # as TensorFlow reads it
    is_limited = is_off or "ONEDNN_MAX_CPU_ISA" in os.environ
    has_others = any(device.device_type != "CPU" for device in tf.config.list_logical_devices())
    if is_limited or has_others or not CPUINFO.exists():
        return False
    return not INSTRUCTIONS.isdisjoint(CPUINFO.read_text().split())


@contextlib.contextmanager
def products_in(dtype: tf.DType) -> Iterator[None]:
    """Makes `convolve` multiply numbers rounded to `dtype`."""
    token = _products.set(dtype)
    try:
        yield
    finally:
        _products.reset(token)


def convolve(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Convolves x [N, H, W, inputs], padded, with the kernel [side, side, inputs, outputs].

    With products in bfloat16 it sums them in float32, and rounds each sum to bfloat16.
    """
    if x.dtype != tf.float32 or _products.get() == tf.float32:
        return tf.nn.conv2d(x, kernel, stride, "SAME")
    rounded, weights = (tf.cast(part, _products.get()) for part in (x, kernel))
    return tf.cast(tf.nn.conv2d(rounded, weights, stride, "SAME"), x.dtype)
