"""What a run that a signal stopped says that it keeps."""

from pipeline.kept import kept
from pipeline.settings import PipelineConfig
from state_root import StateRoot


def test_spans_that_were_ingested_are_kept(tmp_path):
    state = StateRoot(tmp_path / "root")
    run = state.run("a", stops="ImageExampleGen")
    config = PipelineConfig(dataset="toy", root=str(state.root))
    assert kept(config, run) == "Nothing was finished yet, so the same command starts anew"
    contexts = [state._context("pipeline", state.pipeline), state._context("pipeline_run", f"{run}.span-7")]
    state._execute("ImageExampleGen", "a span", contexts, None, None, (0.0, ""))
    assert kept(config, run) == "Kept: ImageExampleGen.span-7. The same command resumes from there"
