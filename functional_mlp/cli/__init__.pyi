from .command import app as app
from .command import main as main
from .command import summary as summary
from .console import asked_to_end as asked_to_end
