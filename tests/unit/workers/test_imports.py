"""What each role needs to be installed."""

import subprocess
import sys


def test_only_the_gpu_worker_needs_torch() -> None:
    modules = "workers.__main__, workers.worker_kinds, workers.control, workers.training"
    code = f"import sys; sys.modules['torch'] = sys.modules['transformers'] = None; import {modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_gpu_worker_knows_no_dicom() -> None:
    code = "import sys; sys.modules['pydicom'] = None; import workers.gpu, workers.serving"
    subprocess.run([sys.executable, "-c", code], check=True)
