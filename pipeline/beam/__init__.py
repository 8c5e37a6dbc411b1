"""The engine that carries out Beam's work: its arguments, checks before a job, and the end of jobs."""
