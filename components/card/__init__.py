"""The model card of a pushed version: its facts, and its text in Markdown and HTML. Imports no TensorFlow or TFX."""
