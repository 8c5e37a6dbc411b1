"""The default networks in PyTorch, by hand and in the closest form of pythae 0.1.2. Imports no TensorFlow."""

import math

import torch
from pythae.models import VAE_IAF, VAE_IAF_Config
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import nn
from torch.nn import functional

PIXELS, HIDDEN, LATENTS, STEPS = 3072, 500, 500, 3
GATE_BIAS, OUTPUT_GAIN = 1.5, 0.01  # as trainer.model.flows.IAFStep
LOG_2PI = math.log(2.0 * math.pi)


class Linear(nn.Linear):
    """y = x W' + b, with the initial W and b of trainer.model.networks.Dense."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)


class MaskedLinear(Linear):
    """y = x (W * mask)' + b."""

    def __init__(self, degree_in: torch.Tensor, degree_out: torch.Tensor) -> None:
        super().__init__(len(degree_in), len(degree_out))
        self.register_buffer("mask", (degree_in[None, :] <= degree_out[:, None]).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.weight * self.mask, self.bias)


class IAFStep(nn.Module):
    """The counterpart of trainer.model.flows.IAFStep, with a MADE of one hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        position, degree = torch.arange(1, LATENTS + 1), torch.arange(HIDDEN) * LATENTS // HIDDEN
        self.first, self.context = MaskedLinear(position, degree), Linear(HIDDEN, HIDDEN)
        self.m, self.s = MaskedLinear(degree, position - 1), MaskedLinear(degree, position - 1)
        nn.init.constant_(self.s.bias, GATE_BIAS)
        for last in (self.m, self.s):
            nn.init.xavier_uniform_(last.weight, OUTPUT_GAIN)

    def forward(self, z: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        u = functional.elu(self.first(z) + self.context(h))
        s = self.s(u)
        gate = torch.sigmoid(s)
        return (gate * z + (1.0 - gate) * self.m(u)).flip(-1), functional.logsigmoid(s).sum(-1)


class PlainVAE(nn.Module):
    """The -ELBO of the batch, with the networks that trainer.model.vae.build makes of the preset `seed`."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = Linear(PIXELS, HIDDEN)
        self.loc, self.logvar, self.h = (
            Linear(HIDDEN, LATENTS),
            Linear(HIDDEN, LATENTS),
            Linear(HIDDEN, HIDDEN),
        )
        self.iaf = nn.ModuleList([IAFStep() for _ in range(STEPS)])
        self.decoder = nn.Sequential(Linear(LATENTS, HIDDEN), nn.Tanh(), Linear(HIDDEN, PIXELS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = torch.tanh(self.hidden(x))
        loc, logvar, h = self.loc(features), self.logvar(features), self.h(features)
        eps = torch.randn_like(loc)
        z = loc + torch.exp(0.5 * logvar) * eps
        log_q = -0.5 * (eps**2 + logvar + LOG_2PI).sum(-1)
        for step in self.iaf:
            z, log_det = step(z, h)
            log_q = log_q - log_det
        log_prior = -0.5 * (z**2 + LOG_2PI).sum(-1)
        cross_entropy = functional.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(-1)
        return (cross_entropy + log_q - log_prior).mean()


class PythaeVAE(nn.Module):
    """The -ELBO of pythae's VAE_IAF.

    It differs from ours in ways that its options do not cover: its flow has no context h, which saves four layers of
    500x500, uses ReLU, and scales by exp(s) instead of a gate. Its decoder returns probabilities, not logits.
    """

    def __init__(self) -> None:
        super().__init__()
        config = VAE_IAF_Config(
            input_dim=(PIXELS,),
            latent_dim=LATENTS,
            reconstruction_loss="bce",
            n_made_blocks=STEPS,
            n_hidden_in_made=1,
            hidden_size=HIDDEN,
        )
        self.model = VAE_IAF(config, _Encoder(), _Decoder())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model({"data": x}).loss


class _Encoder(BaseEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = Linear(PIXELS, HIDDEN)
        self.loc, self.logvar = Linear(HIDDEN, LATENTS), Linear(HIDDEN, LATENTS)

    def forward(self, x: torch.Tensor) -> ModelOutput:
        features = torch.tanh(self.hidden(x))
        return ModelOutput(embedding=self.loc(features), log_covariance=self.logvar(features))


class _Decoder(BaseDecoder):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(Linear(LATENTS, HIDDEN), nn.Tanh(), Linear(HIDDEN, PIXELS), nn.Sigmoid())

    def forward(self, z: torch.Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))
