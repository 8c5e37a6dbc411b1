"""Notifications: the end of a run as a CloudEvent, signed, to a webhook."""
