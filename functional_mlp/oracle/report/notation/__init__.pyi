from .layout import as_handed_over as as_handed_over
from .layout import index_of as index_of
from .layout import lines_as_handed_over as lines_as_handed_over
from .layout import name_of as name_of
from .mistaken import UNKNOWN as UNKNOWN
from .mistaken import mistaken_terms as mistaken_terms
from .notation import Notation as Notation
from .spelling import SPELLED as SPELLED
