"""Training in several processes: the job, its launcher and its workers."""
