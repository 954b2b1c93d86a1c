from .elementwise import Curve as Curve
from .elementwise import ElementwiseReport as ElementwiseReport
from .elementwise import Region as Region
from .elementwise import check_elementwise as check_elementwise
