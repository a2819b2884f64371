import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dancelcm_cli.config.schema import MetricName
from dancelcm_cli.data.bundled import bundled
from dancelcm_cli.data.images import read_image
from dancelcm_cli.data.video import iter_frames
from dancelcm_cli.errors import InputError, WeightsMissingError
from dancelcm_cli.evaluate.face_metrics import FaceMeter, Likeness, make_likeness, open_likeness
from dancelcm_cli.evaluate.meters import Values
from dancelcm_cli.perception.face import FaceCropper

Frame = NDArray[np.uint8]
WITHOUT_NETWORKS: tuple[MetricName, ...] = ("face_found", "face_psnr")


@pytest.fixture(scope="module")
def person() -> Frame:
    return read_image(bundled("samples/reference.png"))


def measured(truth: Frame, *shown: Frame, likeness: Likeness | None = None) -> list[Values]:
    metrics = (*WITHOUT_NETWORKS, "face_similarity") if likeness else WITHOUT_NETWORKS
    (values,) = FaceMeter(metrics, FaceCropper(), likeness).measure([(truth, shown)])
    return list(values)


def blurred(frame: Frame, radius: float) -> Frame:
    return np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius)))


def test_a_face_is_found_where_it_is_and_not_where_it_is_not(person: Frame) -> None:
    same, gone = measured(person, person, np.zeros_like(person))
    assert same == {"face_found": 1, "face_psnr": 100}
    assert gone["face_found"] == 0
    assert gone["face_psnr"] < 20


def test_a_face_in_another_place_is_not_that_face(person: Frame) -> None:
    truth = np.zeros((person.shape[0], 2 * person.shape[1], 3), np.uint8)
    elsewhere = truth.copy()
    truth[:, : person.shape[1]] = person
    elsewhere[:, person.shape[1] :] = person
    assert measured(truth, elsewhere)[0]["face_found"] == 0


def test_a_ladder_of_blur_orders_the_scores_of_the_face(person: Frame) -> None:
    ladder = measured(person, *(blurred(person, radius) for radius in (1, 3, 9)))
    levels = [values["face_psnr"] for values in ladder]
    assert levels == sorted(levels, reverse=True)
    assert ladder[0]["face_found"] == 1


def test_where_the_truth_has_no_face_nothing_is_measured(person: Frame) -> None:
    assert measured(np.zeros_like(person), person) == [{}]


def test_a_still_is_measured_like_a_video_that_stands_still(person: Frame) -> None:
    copies = [(person, [person, person.copy()]) for _ in range(2)]
    meter = FaceMeter(WITHOUT_NETWORKS, FaceCropper())
    assert list(meter.measure(copies)) == [[{"face_found": 1, "face_psnr": 100}] * 2] * 2


@pytest.mark.slow
def test_a_face_is_like_itself(person: Frame) -> None:
    torch.manual_seed(0)
    likeness = Likeness(InceptionResnetV1(pretrained=None, classify=False).eval())
    same, other = measured(person, person, blurred(person, 2), likeness=likeness)
    assert same["face_similarity"] == pytest.approx(1, abs=1e-5)
    assert other["face_similarity"] < 1


@pytest.mark.slow
def test_published_weights_fit_without_the_layer_that_names_people(person: Frame) -> None:
    torch.manual_seed(0)
    network = InceptionResnetV1(pretrained=None, classify=False).eval()
    published = {**network.state_dict(), "logits.weight": torch.zeros(8631, 512)}
    likeness = make_likeness(published, "facenet", torch.device("cpu"))
    face = person[:160, :160]
    assert np.array_equal(likeness.embed(face), Likeness(network).embed(face))
    del published["last_bn.weight"]
    with pytest.raises(InputError, match=r"missing last_bn\.weight"):
        make_likeness(published, "facenet", torch.device("cpu"))


def test_faces_of_rendered_dancers_are_large_enough_to_be_found() -> None:
    frames = iter_frames(bundled("samples/dance/10010.mp4"), (0, 8, 16))
    assert [measured(frame, frame)[0]["face_found"] for frame in frames] == [1, 1, 1]


def test_without_its_weights_likeness_says_how_to_get_them() -> None:
    with pytest.raises(WeightsMissingError) as caught:
        open_likeness(torch.device("cpu"))
    assert caught.value.hint == "Type: dancelcm models fetch facenet"
