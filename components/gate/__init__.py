"""The gate: measures the test-set ELBO, decides, and pushes."""
