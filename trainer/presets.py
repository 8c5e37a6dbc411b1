"""Named training recipes."""

from trainer.config import TrainConfig

PRESETS = {
    # The recipe of the text that the model comes from, with its mathematics corrected.
    "seed": TrainConfig(batch_size=32, epochs=100, learning_rate=1e-4, schedule="constant"),
    # The best known so far for CIFAR-10 within minutes on two cores.
    "default": TrainConfig(batch_size=128, epochs=8, learning_rate=1e-3, schedule="cosine"),
    # Small enough for the embedded data and a test machine.
    "smoke": TrainConfig(
        hidden_size=256,
        latent_size=64,
        iaf_steps=2,
        iaf_hidden_size=256,
        batch_size=64,
        epochs=30,
        held_out_fraction=0.05,
    ),
}
