from .checking import check_elementwise as check_elementwise
from .curves import Curve as Curve
from .curves import Region as Region
from .report import ElementwiseReport as ElementwiseReport
