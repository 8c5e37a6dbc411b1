"""The index of all runs in a state directory: a page with the ELBO over time. Imports neither TensorFlow nor TFX."""
