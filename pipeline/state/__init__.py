"""The state directory: artifacts and their digests, the cache, ML Metadata and its database."""
