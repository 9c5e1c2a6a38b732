"""The engine on a GPU: graphs and a step's head start change no token."""

import pytest
import torch

from tests.support.engine_tools import HIDDEN, LONGEST, serving
from xraygpt_core.errors import BundleError
from xraygpt_core.model.bundle import Decoding
from xraygpt_core.model.engine.arena import SlotClass
from xraygpt_core.model.engine.graphs import Graphs
from xraygpt_core.model.engine.quantised import product_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def texts(device: str, *, graphs: bool) -> list[str]:
    torch.backends.cuda.matmul.allow_tf32 = False
    pictures = [torch.randn(3, HIDDEN, generator=torch.Generator().manual_seed(n)) * 0.5 for n in range(40)]
    with serving(
        (SlotClass(48, 12), SlotClass(80, 1)),
        lookahead=int(device == "cuda"),
        decoding=Decoding(max_new_tokens=LONGEST),
        device=device,
    ) as served:
        if graphs:
            served.runner._graphs = Graphs(served.runner.llama)
        futures = [served.ask(picture.to(device), [4, 5, 6 + number]) for number, picture in enumerate(pictures)]
        return [future.result(120).text for future in futures]


@pytest.mark.parametrize("graphs", [False, True], ids=["eager", "graphs"])
def test_a_gpu_says_what_a_cpu_says(graphs: bool) -> None:
    assert texts("cuda", graphs=graphs) == texts("cpu", graphs=False)


def texts_of_several_images(device: str, *, graphs: bool) -> list[str]:
    torch.backends.cuda.matmul.allow_tf32 = False
    source = torch.Generator().manual_seed(1)
    images = [torch.randn(40 * (1 + number % 3), HIDDEN, generator=source) * 0.5 for number in range(24)]
    classes = (SlotClass(168, 4, shorter=(88, 128), most=8), SlotClass(232, 1))
    with serving(classes, lookahead=int(device == "cuda"), device=device, prompt_tokens=32) as served:
        if graphs:
            served.runner._graphs = Graphs(served.runner.llama)
        futures = [served.ask(image.to(device), [4, 5, 6 + number]) for number, image in enumerate(images)]
        return [future.result(120).text for future in futures]


@pytest.mark.parametrize("graphs", [False, True], ids=["eager", "graphs"])
def test_prompts_of_several_images_say_on_a_gpu_what_they_say_on_a_cpu(graphs: bool) -> None:
    assert texts_of_several_images("cuda", graphs=graphs) == texts_of_several_images("cpu", graphs=False)


def layer() -> torch.nn.Linear:
    torch.manual_seed(5)
    return torch.nn.Linear(64, 48, bias=False, device="cuda", dtype=torch.bfloat16)


def test_a_gpu_takes_no_int8_weights() -> None:
    with pytest.raises(BundleError, match="a GPU takes fp8"):
        product_of("int8")([layer()])


@pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 9), reason="this GPU has no fp8"
)
@pytest.mark.parametrize("rows", [1, 8, 33])
def test_fp8_products_are_near_the_exact_ones(rows: int) -> None:
    exact, x = layer(), torch.randn(rows, 64, device="cuda", dtype=torch.bfloat16)
    found, reference = product_of("fp8")([exact])(x).float(), exact(x).float()
    assert float((found - reference).norm() / reference.norm()) < 0.06
