from .driving import drive as drive
from .process import CommandError as CommandError
from .submit import Invocation as Invocation
from .submit import Submitter as Submitter
from .submit import submitting as submitting
