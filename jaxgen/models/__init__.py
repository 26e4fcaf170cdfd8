from jaxgen.models.bind import bind as bind
from jaxgen.models.mlp import MLP as MLP
from jaxgen.models.unet.ncsnpp import NCSNpp as NCSNpp
from jaxgen.models.unet.unet import UNet as UNet
