"""An example of each command, which its help page shows; and the exit codes, which all pages show."""

from collections.abc import Iterator, Mapping

import typer
from typer.models import CommandInfo

EXAMPLES: dict[str, str] = {
    "demo": 'xraygpt demo ~/films "one more.dcm"',
    "up": "xraygpt up --detach",
    "down": "xraygpt down",
    "status": "xraygpt status",
    "doctor": "xraygpt doctor --deep",
    "submit": "xraygpt submit ~/films s3://xraygpt-source/2026/a.dcm --lane stat --wait",
    "backlog": "xraygpt backlog s3://xraygpt-source/2019/ --since 2019-06-01 --wait",
    "summary": "xraygpt summary 51dc6",
    "chat": 'xraygpt chat 51dc6 "Is the heart enlarged?"',
    "timeline": "xraygpt timeline 51dc6",
    "find": "xraygpt find --accession 0012345",
    "query": 'xraygpt query "SELECT view, count(*) FROM study_summaries GROUP BY view" -o views.csv',
    "list": "xraygpt list --list awaiting --lane stat --since 2h",
    "open": "xraygpt open 51dc6",
    "review": 'xraygpt review 51dc6 edit --text corrected.txt --reason "Left, not right."',
    "purge": "xraygpt purge 51dc6",
    "watch": "xraygpt watch 51dc6 --timeout 600",
    "top": "xraygpt top --interval 5",
    "logs": "xraygpt logs gateway --since 15m --follow",
    "cancel": "xraygpt cancel 51dc6",
    "resummarise": "xraygpt resummarise --where from_bundle=demo --where since=2026-11-01",
    "replay": "xraygpt replay 9f02b",
    "compare": "xraygpt compare demo demo-int8 --where view=PA --where since=7d --limit 200",
    "repair": "xraygpt repair",
    "facts": "xraygpt facts",
    "relabel": "xraygpt relabel",
    "seal": "xraygpt seal",
    "rotate": "xraygpt rotate database",
    "train": "xraygpt train stage1 --preset paper-stage1 --data ~/reports --wait",
    "exclude": "xraygpt exclude 51dc6",
    "bench": "xraygpt bench queue",
    "curate": "xraygpt curate reports.csv --out texts --rules-only",
    "evaluate": "xraygpt evaluate --bundle demo",
    "dead list": "xraygpt dead list --reason Unavailable",
    "dead show": "xraygpt dead show 7c1e0",
    "dead replay": "xraygpt dead replay --all",
    "keys create": 'xraygpt keys create "Dr. A. Okafor" --role reader',
    "keys list": "xraygpt keys list --all",
    "keys rotate": 'xraygpt keys rotate "Dr. A. Okafor" --overlap 3600',
    "keys revoke": 'xraygpt keys revoke "Dr. A. Okafor"',
    "models list": "xraygpt models list",
    "models fetch": "xraygpt models fetch maira-2 --accept-licence",
    "models catalogue": "xraygpt models catalogue",
    "models verify": "xraygpt models verify demo",
    "models import": "xraygpt models import mine --encoder eva.pth --projector stage2.pth --llm vicuna-7b",
    "models compose": "xraygpt models compose .xraygpt/training/stage1 --as mine",
    "models add-server": "xraygpt models add-server mine --url http://127.0.0.1:8000/v1 --model google/medgemma-4b-it",
    "models declare": "xraygpt models declare mine scope.toml --as mine-declared",
    "models quantise": "xraygpt models quantise mine int8 --as mine-int8",
    "models export-llm": "xraygpt models export-llm mine vllm-folder",
    "models promote": "xraygpt models promote f3eb9",
    "models rollback": "xraygpt models rollback",
    "runs list": "xraygpt runs list",
    "runs show": "xraygpt runs show f3eb9",
    "runs watch": "xraygpt runs watch f3eb9",
    "runs pause": "xraygpt runs pause f3eb9",
    "runs resume": "xraygpt runs resume f3eb9",
    "runs cancel": "xraygpt runs cancel f3eb9",
    "runs report": "xraygpt runs report f3eb9 --file log.txt",
    "audit verify": "xraygpt audit verify",
    "audit export": "xraygpt audit export --since 2026-11-01",
}
EXIT_CODES = "Exit codes: 0 done · 1 refused · 2 wrong usage · 3 unfinished · 130 interrupted, the work goes on."


def show_examples(app: typer.Typer, examples: Mapping[str, str]) -> None:
    """Put each example, and the exit codes, below the help of its command."""
    for path, command in commands_of(app):
        command.epilog = f"Example: {examples[path]}\n\n{EXIT_CODES}" if path in examples else EXIT_CODES


def commands_of(app: typer.Typer, before: str = "") -> Iterator[tuple[str, CommandInfo]]:
    """Every command below the application, by the words that call it."""
    for command in app.registered_commands:
        name = command.name or (command.callback.__name__.replace("_", "-") if command.callback else "")
        yield f"{before}{name}", command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from commands_of(group.typer_instance, f"{before}{group.name} ")
