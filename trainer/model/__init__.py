"""The VAE: encoder, inverse autoregressive flow, decoder, and the distributions they use."""
