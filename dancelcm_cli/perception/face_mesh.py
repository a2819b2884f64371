"""The 68 points of a face whose eyes, ears and mouth are roughly known, out of MediaPipe's mesh."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dancelcm_cli.perception.region import Array, Frame, Region
from dancelcm_cli.perception.tflite import TfliteNetwork, sigmoid

ROOM = 1.5  # size of a face's region, in those of the mesh (`modules/face_landmark`)
FIRST_ROOM = 1.75  # half the size of the first region, in distances of eyes and mouth
NODDING = 0.45  # least distance of eyes and mouth, in distances of the ears
RIGHT_EYE_CORNER, LEFT_EYE_CORNER = 33, 263
# fmt: off
MESH_68 = [  # the mesh's vertex for each of the 68 points
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # jaw
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,  # brows
    168, 197, 5, 4, 98, 97, 2, 326, 327,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
]
# fmt: on


class FaceReader:
    """Reads the points of a face."""

    def __init__(self, models: Path) -> None:
        self._network = TfliteNetwork(models / "face_landmark.tflite")

    def read(self, frame: Frame, eyes: Array, ears: Array, mouth: Array) -> tuple[Array, float]:
        """Return the points (68, 2) in pixels and the probability that this is a face.

        `eyes`, `ears` and `mouth` (2, 2), right and left, are places of an RGB frame (H, W, 3).
        """
        middle, up = (eyes + mouth).mean(axis=0) / 2, (eyes - mouth).mean(axis=0)
        # Of a face that looks down, eyes and mouth are close together, but the ears are not.
        distances = np.linalg.norm([up, NODDING * (ears[0] - ears[1])], axis=-1)
        longer = distances.max() / max(distances[0], 1e-6)
        mesh, _ = self._look(frame, Region.about(middle, up * longer, FIRST_ROOM))
        across = mesh[LEFT_EYE_CORNER] - mesh[RIGHT_EYE_CORNER]
        upwards = np.array([across[1], -across[0]])
        mesh, score = self._look(frame, Region.around(mesh, upwards, ROOM))
        return mesh[MESH_68], score

    def _look(self, frame: Frame, region: Region) -> tuple[Array, float]:
        mesh, logit = self._network.run(frame, region)
        places = mesh.reshape(-1, 3)[:, :2] / self._network.side
        return region.to_frame(places), float(sigmoid(logit).item())
