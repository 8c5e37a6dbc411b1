"""The ids of the nodes that compare data. Imports no TFX."""

SERVING_SKEW = "ServingSkew"  # compares the data with those that a served model was given
SPAN_DRIFT = "SpanDrift"  # compares a span with the one before it, in the run that ingests the span
NODES = (SPAN_DRIFT, SERVING_SKEW)
GATE = "DriftGate"
SENTENCE = "drift"  # property of the findings' artifact: what drifted, in words; empty: nothing
