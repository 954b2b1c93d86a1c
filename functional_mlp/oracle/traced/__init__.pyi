from .checking import assert_vjp as assert_vjp
from .checking import check_vjp as check_vjp
from .dumps import arguments_in as arguments_in
from .dumps import gradients_in as gradients_in
from .dumps import outputs_in as outputs_in
from .operation import check_backward as check_backward
