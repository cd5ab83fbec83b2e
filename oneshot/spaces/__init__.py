"""Search spaces: one file a space. What ships is registered here with its networks, by reference. Imports no torch.

Larger spaces come before their restrictions, so that the first that parses a string is the most general.
"""

from oneshot.registry import register_space
from oneshot.spaces import darts
from oneshot.spaces.fairnas import ALL as FAIRNAS
from oneshot.spaces.nasbench101 import ALL as NASBENCH101
from oneshot.spaces.nasbench201 import ALL, CONV, NO_ZERO
from oneshot.spaces.nasbench201_subsets import ANY as NASBENCH201_ANY
from oneshot.spaces.nasbench201_subsets import SUBSETS as NASBENCH201_SUBSETS
from oneshot.spaces.nasnet import ALL as NASNET
from oneshot.spaces.shufflenet import ALL as SHUFFLENET

for space in (ALL, NO_ZERO, CONV):
    register_space(space, "oneshot.supernets.nasbench201:NasBench201Skeleton")
register_space(NASBENCH101, "oneshot.supernets.nasbench101:NasBench101Skeleton")
register_space(FAIRNAS, "oneshot.supernets.fairnas:FairNasSkeleton")
register_space(SHUFFLENET, "oneshot.supernets.shufflenet:ShuffleNetSkeleton")
register_space(NASNET, "oneshot.supernets.nasnet:NasNetSkeleton")
for space in (NASBENCH201_ANY, NASBENCH201_SUBSETS):
    register_space(space, "oneshot.supernets.nasbench201:NasBench201Skeleton")
for space in (darts.EXTENDED_SUBSETS, darts.SUBSETS, darts.EXTENDED_ALL, darts.ALL):
    register_space(space, "oneshot.supernets.darts:DartsSkeleton")
