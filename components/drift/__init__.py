"""Whether two sets of images differ: their numbers, the served model's ELBO and the mix of labels."""
