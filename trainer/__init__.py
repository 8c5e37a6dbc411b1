"""Plain TensorFlow: the VAE with inverse autoregressive flow, its objective, training and export.

Nothing here knows TFX, Kubeflow or Beam: it can be read, tested and run alone (`python -m trainer`).
"""
