"""Training: players, their one step, the state it moves."""

from jaxgen.train.optimizers import adam as adam
from jaxgen.train.optimizers import adamax as adamax
from jaxgen.train.player import Lazy as Lazy
from jaxgen.train.player import Player as Player
from jaxgen.train.player import Training as Training
from jaxgen.train.player import measured as measured
from jaxgen.train.player import training as training
from jaxgen.train.state import State as State
from jaxgen.train.state import averaged as averaged
