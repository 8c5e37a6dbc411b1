"""`make chaos`: kills, damages and disturbs runs, and judges them from outside by exit codes, consoles and files."""
