"""Training in several processes: launching them, their job and their tf.distribute strategy."""
