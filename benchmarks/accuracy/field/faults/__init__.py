"""Faults of programs, each a small change of one formula, with the names that are right for it."""

from collections.abc import Mapping

from benchmarks.accuracy.field.faults.derivatives import DERIVATIVES
from benchmarks.accuracy.field.faults.forward import FORWARD
from benchmarks.accuracy.field.faults.gathering import GATHERING
from benchmarks.accuracy.field.faults.invented import INVENTED
from benchmarks.accuracy.field.faults.losses import LOSSES
from benchmarks.accuracy.field.faults.penalties import PENALTIES
from benchmarks.accuracy.field.faults.reductions import REDUCTIONS
from benchmarks.accuracy.field.faults.registry import Fault, Planted, formulas_with
from benchmarks.accuracy.field.faults.steps import STEPS
from benchmarks.accuracy.field.faults.way_back import WAY_BACK

__all__ = ["FAULTS", "INVENTED", "Fault", "Planted", "formulas_with"]

FAULTS: Mapping[str, Fault] = {
    fault.name: fault
    for family in (DERIVATIVES, WAY_BACK, REDUCTIONS, GATHERING, LOSSES, FORWARD, PENALTIES, STEPS)
    for fault in family
}
