"""`make chaos`: kills, damage and trouble of the machine, judged from outside by exit codes, consoles and files."""
