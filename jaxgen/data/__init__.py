"""Data: any data set as a source of examples with a spec."""

from jaxgen.data.records import Source as Source
from jaxgen.data.records import Spec as Spec
from jaxgen.data.records import as_arrays as as_arrays
from jaxgen.data.source import describe as describe
from jaxgen.data.source import load as load
