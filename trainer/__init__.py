"""The VAE with inverse autoregressive flow in plain TensorFlow: model, objective, training and export.

It imports no TFX, Kubeflow or Beam, and `python -m trainer` runs it alone.
"""

import os

# TensorFlow's BFC allocator keeps freed memory. On CPUs without oneDNN the default, malloc, returns it to the kernel,
# which costs 9,000 page faults in a step of `resnet`. Set before TensorFlow's first operation, which reads it.
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
