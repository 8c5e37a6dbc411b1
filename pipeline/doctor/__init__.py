"""Checks of this machine, one file a check. Imports neither TensorFlow nor TFX, which may be what is wrong."""
