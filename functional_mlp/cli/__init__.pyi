from .cases import summary_of as summary_of
from .command import app as app
from .command import main as main
