from .attachments import Exhibit as Exhibit
from .report import Report as Report
from .reported import Finding as Finding
from .sentences import count as count
from .sentences import fitted as fitted
from .sentences import kind_of as kind_of
from .sentences import place_of as place_of
