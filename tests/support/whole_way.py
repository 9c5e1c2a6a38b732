"""From a published model to a stored text, with real parts: a hub, a gateway, workers, and the commands."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from typer.testing import CliRunner, Result

from tests.support.hub_server import HubServer
from tests.support.published_hub import publish_entry
from tests.support.vision_server import SmallVision
from tests.support.worker_bench import Bench
from xraygpt.cli import app
from xraygpt_core.model.catalogue.entries import Entry, Kind, read_catalogue

CPU = {"XRAYGPT_DEVICE": "cpu", "OMP_NUM_THREADS": "1", "XRAYGPT_BATCH_SIZE": "4"}
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass
class WholeWay:
    """A user at a machine with our stack on it. ``catalogue``: of narrow models; ``server``: holds those of servers."""

    bench: Bench
    hub: HubServer
    server: SmallVision
    catalogue: Path
    film: Callable[..., bytes]

    def type(self, *words: str) -> Result:
        """A command of the user's."""
        return CliRunner().invoke(app, words)

    def said(self, *words: str) -> Any:
        """The document of a command that ends well."""
        done = self.type(*words, "--json")
        assert done.exit_code == 0, f"{words}: {done.output} {done.exception}"
        return json.loads(done.stdout)

    def fetch(self, name: str) -> Entry:
        """By the real command, from the hub, or for the server."""
        entry = read_catalogue(self.catalogue)[name]
        publish_entry(self.hub, entry)
        more = []
        if entry.kind is Kind.SERVER:
            self.server.model = entry.repositories[0].repo
            more = ["--url", self.server.url]
        self.said("models", "fetch", name, "--catalogue", str(self.catalogue), "--accept-licence", *more)
        return entry

    def serve(self, entry: Entry, *, gpu: Mapping[str, str] = NOTHING, ingest: Mapping[str, str] = NOTHING) -> None:
        """Promote it, and start the workers with these settings; come back when the model is loaded."""
        self.said("models", "promote", entry.name)
        worker = self.start_gpu(**gpu)
        self.bench.start("ingest", **ingest)

        def loaded() -> Any:
            assert worker.poll() is None, self.bench.log(0)
            return self.bench.value("SELECT served_images FROM installation")

        self.bench.eventually(loaded, f"{entry.name} is loaded")

    def start_gpu(self, **environment: str) -> subprocess.Popen[bytes]:
        """A GPU worker on this CPU."""
        models = os.environ["XRAYGPT_MODELS"]
        return self.bench.start("gpu", XRAYGPT_MODELS=models, **CPU, **environment)

    def submit(self, day: str, *views: str, **header: str) -> str:
        """A study of our one patient by this day; its id."""
        films = []
        for view in views:
            path = self.bench.directory / f"{day}-{view}.dcm"
            about = {"PatientID": "P", "AcquisitionDate": day, "study": f"1.2.{day}", "view": view}
            path.write_bytes(self.film(int(day) + len(view), **about | header))
            films.append(str(path))
        ids = [row["image_id"] for row in self.said("submit", *films)["studies"]]
        read = "SELECT count(*) FROM images WHERE state = 'accepted' AND id = ANY (CAST(:ids AS uuid[]))"
        self.bench.until(read, len(films), "the films are read", ids=ids)
        return str(self.bench.value("SELECT study_id FROM images WHERE id = :id", id=ids[0]))

    def summarised(self, study: str, *roles: str) -> dict[str, Any]:
        """The current text of a study as soon as it is about all of these films."""
        found = (
            "SELECT count(*) FROM summaries WHERE study_id = :study AND superseded_at IS NULL "
            "AND ARRAY(SELECT jsonb_object_keys(provenance -> 'images') ORDER BY 1) = CAST(:roles AS text[])"
        )
        self.bench.until(found, 1, f"a text about {' and '.join(roles)}", study=study, roles=sorted(roles))
        (row,) = self.bench.rows(
            "SELECT * FROM summaries WHERE study_id = :study AND superseded_at IS NULL", study=study
        )
        return row
