"""What a training step optimises: one file a published method. What ships is registered here, by reference."""

from oneshot.registry import METHODS

METHODS.register("single-path", "oneshot.methods.single_path:SinglePathSettings")
METHODS.register("random-search", "oneshot.methods.random_search:RandomSearchSettings")
METHODS.register("darts", "oneshot.methods.darts:DartsSettings")
METHODS.register("gdas", "oneshot.methods.gdas:GdasSettings")
METHODS.register("snas", "oneshot.methods.snas:SnasSettings")
METHODS.register("proxylessnas", "oneshot.methods.proxylessnas:ProxylessNasSettings")
METHODS.register("entrannas", "oneshot.methods.entrannas:EnTranNasSettings")
METHODS.register("entrannas-dst", "oneshot.methods.entrannas_dst:EnTranNasDstSettings")
METHODS.register("msg-das", "oneshot.methods.msgdas:MsgDasSettings")
METHODS.register("hm-nas", "oneshot.methods.hmnas:HmNasSettings")
METHODS.register("vaenas-g", "oneshot.methods.vaenas_g:VaenasGSettings")
