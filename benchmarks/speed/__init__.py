"""How fast: `python -m benchmarks.speed` runs every competitor of a workload side by side; the others have their names.

accelerator         the workloads on the device that JAX finds
choices             what each choice of compilation gives
driving             how many cases `drive` judges per second
gradient_checkers   what a check costs, beside gradcheck and check_grads
growth              how time and memory grow
scaling             sweeps and trainings over devices, beside the cost model
"""
