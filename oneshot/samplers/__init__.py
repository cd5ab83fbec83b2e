"""Which architectures a step trains: one file a sampler. What ships is registered here, by reference."""

from oneshot.registry import SAMPLERS

SAMPLERS.register("uniform", "oneshot.samplers.uniform:UniformSettings")
SAMPLERS.register("fair", "oneshot.samplers.fair:FairSettings")
SAMPLERS.register("balanced", "oneshot.samplers.balanced:BalancedSettings")
SAMPLERS.register("exact-edges", "oneshot.samplers.exact_edges:ExactEdgesSettings")
SAMPLERS.register("vae", "oneshot.samplers.vaenas:VaenasSettings")
SAMPLERS.register("vae-only", "oneshot.samplers.vaenas:VaeOnlySettings")
