"""Evaluators: architectures in, predictions out. Those that need no run are registered here, by reference."""

from oneshot.registry import EVALUATORS

for name, kind in {
    "gradient-norm": "gradients:GradientNorm",
    "snip": "gradients:Snip",
    "zico": "gradients:Zico",
    "synflow": "synflow:Synflow",
    "jacov": "jacov:Jacov",
    "naswot": "naswot:Naswot",
    "swap": "swap:Swap",
    "az-expressivity": "az_nas:Expressivity",
    "az-progressivity": "az_nas:Progressivity",
    "az-trainability": "az_nas:Trainability",
    "az-complexity": "az_nas:Complexity",
    "az-nas": "az_nas:AzNas",
    "vkdnw": "vkdnw:Vkdnw",
    "vkdnw-aggregate": "vkdnw:VkdnwAggregate",
}.items():
    EVALUATORS.register(name, f"oneshot.evaluators.training_free.{kind}")
