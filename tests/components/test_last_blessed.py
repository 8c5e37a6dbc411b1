import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import standard_artifacts

from components.last_blessed import LastBlessedModelStrategy


@pytest.fixture
def resolve(tmp_path):
    """The uri of the model that is resolved among models 1, 2, ..., whose folders are there or not."""

    def run(present, blessed):
        models, blessings = [], []
        for number, (there, good) in enumerate(zip(present, blessed, strict=True), start=1):
            model, blessing = standard_artifacts.Model(), standard_artifacts.ModelBlessing()
            for artifact, kind in ((model, "model"), (blessing, "blessing")):
                folder = tmp_path / f"{kind}{number}"
                if there:
                    folder.mkdir()
                artifact.uri = str(folder)
                artifact.mlmd_artifact.create_time_since_epoch = number
                artifact.mlmd_artifact.state = mlmd.Artifact.LIVE
            model.id, blessing.id = number, 100 + number
            blessing.set_int_custom_property("blessed", int(good))
            blessing.set_int_custom_property("current_model_id", number)
            models.append(model)
            blessings.append(blessing)
        result = LastBlessedModelStrategy().resolve_artifacts(None, {"model": models, "model_blessing": blessings})
        return [model.uri.rsplit("/", 1)[1] for model in result["model"]]

    return run


def test_the_newest_blessed_model_is_the_baseline(resolve):
    assert resolve(present=[True, True, True], blessed=[True, True, False]) == ["model2"]


def test_a_model_whose_files_are_gone_is_passed_over(resolve):
    assert resolve(present=[True, False], blessed=[True, True]) == ["model1"]


def test_without_any_there_is_no_baseline(resolve):
    assert resolve(present=[False], blessed=[True]) == []
