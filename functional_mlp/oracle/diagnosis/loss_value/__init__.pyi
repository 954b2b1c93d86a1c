from .readings import LossReading as LossReading
from .readings import loss_readings as loss_readings
