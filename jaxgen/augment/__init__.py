"""What a critic sees of images: random transforms, and their probability."""

from jaxgen.augment.ada import ada as ada
from jaxgen.augment.augmented import Augmentation as Augmentation
from jaxgen.augment.augmented import augmented as augmented
from jaxgen.augment.differentiable import differentiable as differentiable
from jaxgen.augment.probability import adaptive as adaptive
from jaxgen.augment.probability import scheduled as scheduled
