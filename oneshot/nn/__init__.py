"""Candidate operations, the choice block, weights that depend on earlier choices; what ships, by reference."""

from oneshot.registry import CONTEXTS, OPERATIONS

CONTEXTS.register("none", "oneshot.nn.contexts.base:NoneSettings")
CONTEXTS.register("bias", "oneshot.nn.contexts.bias:BiasSettings")
CONTEXTS.register("shared-bias", "oneshot.nn.contexts.shared_bias:SharedBiasSettings")
CONTEXTS.register("attention", "oneshot.nn.contexts.attention:AttentionSettings")
CONTEXTS.register("attention-2", "oneshot.nn.contexts.attention:Attention2Settings")
CONTEXTS.register("split", "oneshot.nn.contexts.split:SplitSettings")

OPERATIONS.register("nasbench201", "oneshot.nn.operations:NasBench201Operations")
OPERATIONS.register("nasbench101", "oneshot.nn.sliced:NasBench101Operations")
OPERATIONS.register("nasnet", "oneshot.nn.separable:CellOperations")
OPERATIONS.register("inverted-residuals", "oneshot.nn.mobile:InvertedResiduals")
OPERATIONS.register("shuffles", "oneshot.nn.shuffle:Shuffles")
