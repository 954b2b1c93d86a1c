from .cases import summary as summary
from .command import app as app
from .command import main as main
from .console import asked_to_end as asked_to_end
