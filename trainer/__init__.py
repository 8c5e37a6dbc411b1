"""Plain TensorFlow: the VAE with inverse autoregressive flow, its objective, training and export.

Nothing here knows TFX, Kubeflow or Beam: it can be read, tested and run alone (`python -m trainer`).
"""

import os

# TensorFlow's own allocator keeps what a step frees for the next one. Where oneDNN is off, which goes by the processor,
# malloc would be in its place, and gives the larger part back to the kernel, which clears each page anew: 9,000 page
# faults in a step of `resnet`. Read at TensorFlow's first operation.
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
