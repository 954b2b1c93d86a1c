from .driving import drive as drive
from .process import CommandError as CommandError
from .submit import Put as Put
from .submit import putting as putting
