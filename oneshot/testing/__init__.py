"""What every component keeps, as classes of tests: parametrise one with your own components, and it tests them.

    @pytest.mark.parametrize("space", [my_space])
    class TestMySpace(SpaceContract): ...

Needs pytest and hypothesis.
"""

from oneshot.testing.components import (
    ContextContract,
    FormatContract,
    OperationsContract,
    SamplerContract,
    TrackerContract,
)
from oneshot.testing.evaluators import EvaluatorContract, ScoreContract, small_score
from oneshot.testing.methods import MethodContract
from oneshot.testing.skeletons import SkeletonContract
from oneshot.testing.spaces import SpaceContract

__all__ = [
    "ContextContract", "EvaluatorContract", "FormatContract", "MethodContract", "OperationsContract",
    "SamplerContract", "ScoreContract", "SkeletonContract", "SpaceContract", "TrackerContract", "small_score",
]  # fmt: skip
