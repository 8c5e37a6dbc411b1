"""What a pod of the pipeline does."""
