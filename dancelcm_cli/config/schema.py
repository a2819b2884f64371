"""Every setting of the toolkit, as frozen data with its unit, range and default.

A recipe (TOML) holds one table per section below. The defaults are the bundled tiny model's, so
that the empty recipe already runs; `recipes/unianimate.toml` holds the paper's setting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Fit = Literal["squash", "crop", "pad"]
Detector = Literal["auto", "annotation", "dwpose", "openpose", "blazepose"]
Person = Literal["largest", "center", 1, 2, 3, 4, 5, 6, 7, 8, 9]  # counted from the left
Driving = Literal["auto", "pose", "person", "keypoints"]
Alignment = Literal["robust", "first-frame", "none"]
Sampler = Literal["edge_renoise", "ddim", "lcm"]
NoisePrior = Literal["none", "legacy", "consistent"]
TeacherGrid = Literal["trailing", "upstream"]
ImageTokens = Literal["clip", "reference", "none"]
FaceTokens = Literal["vae", "clip", "none"]
Method = Literal["dancelcm", "videolcm", "multistep-cm", "perflow", "pcm"]
Solver = Literal["ddim", "heun"]
LossSpace = Literal["edge", "latents", "velocity"]
Distance = Literal["pseudo-huber", "squared", "norm"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["float32", "bfloat16"]
InferencePrecision = Literal["auto", "float32", "bfloat16", "float16"]
MetricName = Literal[
    "l1",
    "psnr",
    "ssim",
    "lpips",
    "fvd",
    "mae",
    "ssim_gaussian",
    "psnr_uint8_overflow",
    "face_found",
    "face_psnr",
    "face_lpips",
    "face_similarity",
    "sharpness_moving",
    "sharpness_still",
    "flicker",
    "warp_error",
    "akd",
    "pck",
]
LpipsRange = Literal["unit", "signed"]
FvdResize = Literal["pil-bicubic", "bilinear"]
FvdCodec = Literal["none", "h264"]


@dataclass(frozen=True)
class PreprocessConfig:
    """How videos become clips in shards."""

    height: int = 192  # pixels; a multiple of the autoencoder's reduction
    width: int = 128  # pixels
    num_frames: int = 24  # frames per clip; shorter videos are skipped
    frame_stride: int = 1  # take every n-th frame of the video
    folder_fps: float = 12.0  # frames/s of a folder of pictures, which has no rate of its own
    fit: Fit = "squash"  # how a frame of another aspect ratio is brought to height x width
    pose_detector: Detector = "auto"
    cut_threshold: float = 0.06  # jump of the mean picture that is a camera cut, [0, 1]; 1 is off
    min_motion: float = 0.02  # share of the picture that must move during a clip, [0, 1]
    min_person_share: float = 0.5  # share of a clip's frames that must show somebody, [0, 1]
    min_confidence: float = 0.3  # mean body score that a clip must have, [0, 1]
    max_people: int = 1  # people that a clip may show; 0 is any number
    person: Person = "largest"  # whom to follow where several are seen
    face_size: int = 128  # side of the face crop, pixels
    motion_threshold: float = 0.2  # frame difference that counts as motion, on [-1, 1] pixels
    shard_megabytes: int = 256  # a shard is closed once it is this large
    store: Literal["latents", "frames"] = "latents"  # "frames" feeds `train --part autoencoder`


@dataclass(frozen=True)
class AutoencoderConfig:
    """The small patch autoencoder (the large one is a diffusers AutoencoderKL)."""

    latent_channels: int = 8
    patch_size: int = 8  # pixels per latent cell
    width: int = 128  # channels of the residual trunks
    encoder_blocks: int = 2
    decoder_blocks: int = 6


@dataclass(frozen=True)
class NetworkConfig:
    """The UNet's sizes; `recipes/unianimate.toml` gives the published network."""

    dim: int = 64  # channels of the first level
    channel_multipliers: tuple[int, ...] = (1, 2, 2)  # channels of level i are dim times this
    attention_levels: tuple[bool, ...] = (True, True, True)  # which levels have transformers
    blocks_per_level: int = 1
    head_dim: int = 32  # channels per attention head
    stem_heads: int = 2  # heads of the first temporal transformer, each head_dim wide
    context_dim: int = 128  # width of the cross-attention context
    text_tokens: int = 0  # empty-prompt tokens (UniAnimate: 77)
    image_tokens: ImageTokens = "reference"  # what the image tokens of the context are made of
    image_embed_dim: int = 0  # width of the image embedding (CLIP ViT-H: 1024)
    first_frame: bool = False  # holds UniAnimate's stem for a given first frame, unused


@dataclass(frozen=True)
class ScheduleConfig:
    """The noise schedule (UniAnimate's)."""

    num_train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    noise_offset: float = 0.1  # share of noise that is constant over a channel of a frame


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, its learning rate and what keeps it steady."""

    name: Literal["adamw", "adamw8bit"] = "adamw"  # 8 bits: bitsandbytes, a quarter of the memory
    learning_rate: float = 3e-4
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    warmup_steps: int = 200
    decay: Literal["constant", "cosine"] = "cosine"
    max_grad_norm: float = 1.0


@dataclass(frozen=True)
class TrainConfig:
    """Training or fine-tuning of a teacher, or of the small autoencoder."""

    part: Literal["teacher", "autoencoder"] = "teacher"
    steps: int = 1000
    batch_size: int = 4  # clips per step, over all processes
    num_frames: tuple[int, ...] = (16,)  # frames of a clip; of several, each step takes the next
    image_steps: int = 0  # of the steps, how many come first and see single frames
    image_batch_size: int = 32  # single frames per step
    ema_decay: float = 0.999
    condition_dropout: float = 0.1  # share of samples trained without any condition, [0, 1]
    validation_share: float = 0.03  # share of the clips' sources kept for validation, [0, 1)
    validate_every: int = 500  # steps
    checkpoint_every: int = 500  # steps
    keep_checkpoints: int = 2  # besides the best by validation
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)


@dataclass(frozen=True)
class DistillConfig:
    """Distillation of a teacher into a student of few steps: DanceLCM (eq. 4 to 8) or a rival."""

    method: Method = "dancelcm"  # `--method` also sets what `config/methods.py` lists for it
    phase: Literal[1, 2] = 1  # 2 makes a student of K segments good at fewer than K steps
    segments: int = 2  # K
    grid_size: int = 50  # n, timesteps of the solver; a multiple of `segments`
    solver: Solver = "ddim"
    substeps: int = 1  # solver steps from a grid timestep to the earlier one
    skip: Literal["fixed", "uniform"] = "fixed"  # one grid step, or (eq. 4) any above the edge
    guidance_scale: float = 2.5  # g of the teacher's solver; 1 is off
    target: Literal["average", "self"] = "average"  # which network the student should agree with
    ema_decay: float = 0.95
    loss_space: LossSpace = "edge"  # where student and target are compared
    distance: Distance = "pseudo-huber"
    huber_constant: float = 1e-3  # c of the pseudo-Huber distance
    motion_weight: float = 0.5  # lambda_1, extra weight where something moves
    auxiliary_weight: float = 0.1  # lambda_2, of the ground-truth head
    face: FaceTokens = "vae"
    tuning: Literal["full", "lora"] = "full"
    lora_rank: int = 64
    steps: int = 1000
    batch_size: int = 4  # clips per step, over all processes
    num_frames: tuple[int, ...] = (16,)  # frames of a clip; of several, each step takes the next
    validation_share: float = 0.03
    validate_every: int = 200
    teacher_steps: int = 25  # of the teacher's samples that validations show beside the student's
    checkpoint_every: int = 200
    keep_checkpoints: int = 2  # besides the best by validation
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            learning_rate=5e-5, beta2=0.999, warmup_steps=50, decay="constant"
        )
    )


@dataclass(frozen=True)
class ComputeConfig:
    """How training fits the hardware; none of it changes what is learnt but for rounding."""

    precision: Precision = "float32"  # of the networks; all else is float32
    gradient_checkpointing: bool = False  # a third more time for a fraction of the activations
    accumulation: int = 1  # parts into which each process cuts its share of a batch
    sharding: Literal["none", "fsdp"] = "none"  # "none" keeps a whole copy per process (DDP)
    average_device: Literal["same", "cpu"] = "same"  # where the float32 average is kept
    compile: bool = False  # by torch.compile: a minute at the start for faster steps
    keep_poses: bool = False  # draw all poses once, 1.8 MB a clip at 192 x 128, not in every step
    tensorboard: bool = False  # write event files into the run folder as well


@dataclass(frozen=True)
class AnimateConfig:
    """How a picture is made to move."""

    steps: int = 4  # network calls
    sampler: Sampler = "edge_renoise"
    teacher_grid: TeacherGrid = "trailing"  # a teacher's timesteps; "upstream": UniAnimate's own
    noise_prior: NoisePrior = "none"  # starts from the noised reference: see core/noise_prior.py
    prior_timestep: int = 0  # how noisy it is; 0 is the trained timestep nearest to 949
    guidance_scale: float = 1.0  # 1 is off; a student needs none
    temperature: float = 1.0  # scale of all noise; below 1 a small model's grain fades, then detail
    driving: Driving = "auto"
    align: Alignment = "robust"
    pose_detector: Detector = "auto"
    several: Literal["refuse", "largest"] = "refuse"  # what becomes of a picture of several people
    num_frames: int = 0  # frames of the result; 0 is as many as the driving clip has
    max_frames: int = 10_000  # a driving clip that makes more is refused without num_frames
    frame_stride: int = 1  # take every n-th frame of the driving clip
    window: int = 16  # frames that the network sees at once; more than it was trained on is worse
    overlap: int = 4  # frames that neighbouring windows of a longer clip share
    fps: float = 0.0  # frames/s of the result; 0 is the driving clip's own
    precision: InferencePrecision = "auto"  # of the networks; "auto": bfloat16 on a CUDA device
    compile: bool = False  # compile the networks' blocks first: worth it for many windows or jobs
    windows_at_once: int = 1  # windows of a long clip that the network sees as a batch
    offload: bool = False  # networks that are not at work wait in the CPU's memory
    decode_chunk: int = 8  # frames that the autoencoder turns into pixels at once
    small_decoder: bool = False  # pixels by TAESD where it was fetched and fits, as in drafts


@dataclass(frozen=True)
class EvaluateConfig:
    """How a result is scored."""

    protocol: Literal["disco-256", "textbook"] = "disco-256"
    metrics: tuple[MetricName, ...] = ()  # what is measured; empty: all of the protocol's
    beyond: bool = True  # measure faces, sharpness, flicker and warp error, too
    pose: bool = False  # and whether the detected poses are those of the truth
    strict: bool = False  # refuse to go on where a metric of the protocol cannot be measured
    height: int = 256  # frames are resized to this before they are compared
    width: int = 256
    geometry: Literal["auto", "square-crop", "squash"] = "auto"  # "auto": the data set's own
    lpips_range: Literal["auto", "unit", "signed"] = "auto"  # "auto": the protocol's own
    fvd_stride: int = 1  # frames from the start of a clip to that of the next
    fvd_resize: FvdResize = "pil-bicubic"  # how clips are brought to the network's size
    fvd_codec: FvdCodec = "none"  # what both sides go through first
    i3d: str = ""  # a file of I3D's weights; empty: the one that was fetched
    batch_size: int = 4  # clips that FVD's network sees at once; 100 MB each
    allow_missing: bool = False  # score what is there of incomplete predictions
    steps: tuple[int, ...] = (4,)  # network calls of the animations, each a row of the table


@dataclass(frozen=True)
class Recipe:
    """All settings of a run: saved beside every result and accepted back."""

    seed: int = 0
    device: Device = "auto"
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    animate: AnimateConfig = field(default_factory=AnimateConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
