"""A training over several pods: an Indexed Job, followed from start to end."""
