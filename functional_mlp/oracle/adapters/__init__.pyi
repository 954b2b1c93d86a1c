from .adapted import Adapted as Adapted
from .models import adapt as adapt
from .models import check_autograd_function as check_autograd_function
from .models import check_model as check_model
