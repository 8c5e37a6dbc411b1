"""Says why each node of a run ran again: which setting, input or code differs from its newest earlier execution."""

import argparse
from typing import TYPE_CHECKING, Any

from pipeline.cli._options import root_of
from pipeline.cli._output import print_json, print_parts, styled, table
from pipeline.cli._state import add_state
from trainer.errors import UserError
from trainer.exit_codes import DONE
from trainer.schema import nearest

if TYPE_CHECKING:
    from pipeline.state.why import Why

HELP = "say why a node ran again"
EXAMPLE = "why Trainer --root vaeiaf"
GUIDE = "howto/why.md"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the node, the run and the state directory."""
    parser.add_argument("node", metavar="NODE", nargs="?", help="such as Trainer (default: all)")
    parser.add_argument("--run", dest="run_id", metavar="ID", help="as vaeiaf status shows it (default: the last)")
    add_state(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the reasons."""
    from pipeline.state.executions import one_pipeline, open_store, run_named
    from pipeline.state.why import why

    store = open_store(root_of(options))
    pipeline = one_pipeline(store, options.pipeline)
    chosen = run_named(store, pipeline, options.run_id)
    if options.node is not None and options.node not in chosen.nodes:
        valid = f"a node of this run, {', '.join(chosen.nodes)}"
        raise UserError("NODE", value=options.node, valid=valid, remedy=nearest(options.node, chosen.nodes))
    found = [one for one in why(store, pipeline, chosen) if options.node in (None, one.node)]
    if options.json:
        print_json({"run": chosen.run, "nodes": found})
    else:
        rows = [row for one in found for row in _rows(one)]
        print_parts(f"Run {chosen.run}", table(["node", "result", "why", "since run"], rows))
    return DONE


def _rows(one: "Why") -> list[list[Any]]:
    result = styled(one.result, {"failed": "red", "made": "cyan"}.get(one.result, ""))
    if not one.differences:
        return [[one.node, result, one.reason, one.compared_with]]
    first, *others = [str(difference) for difference in one.differences]
    return [[one.node, result, first, one.compared_with], *(["", "", other, ""] for other in others)]
