"""Image files, through Pillow: opened with distrust, brought upright, to one mode and one size."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
GREY = ("1", "L")
COLOUR = ("LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # open_image refuses such files


def central(height: int, width: int, size: int) -> tuple[int, int]:
    """Top and left of the central window of size x size. Raises ValueError if the image is smaller."""
    if not 0 < size <= min(height, width):
        raise ValueError(f"expected images of at least {size}x{size} pixels to crop, got {height}x{width}")
    return (height - size) // 2, (width - size) // 2


def resize(image: Image.Image, size: int) -> Image.Image:
    """The largest central square of the image, resampled to size x size (Lanczos, with antialiasing)."""
    return ImageOps.fit(image, (size, size), method=Image.Resampling.LANCZOS)


def resize_array(x: np.ndarray, size: int) -> np.ndarray:
    """`resize` of each channel: [H, W, C] uint8 -> [size, size, C] uint8."""
    return np.stack([np.asarray(resize(Image.fromarray(x[..., c]), size)) for c in range(x.shape[-1])], axis=-1)


def open_image(path: Path) -> Image.Image:
    """The image of a file, its pixels still compressed. Raises ValueError that names the file.

    Only PNG, JPEG and WebP are tried. An image of more pixels than Pillow's limit is refused by its header, before
    anything is decompressed.
    """
    try:
        image = Image.open(path, formats=sorted(set(FORMATS.values())))
        bomb = image.width * image.height > (Image.MAX_IMAGE_PIXELS or np.inf)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        bomb = True
    except Exception as error:
        raise ValueError(f"expected a PNG, JPEG or WebP image in {path}: replace or remove it") from error
    if bomb:
        raise ValueError(f"expected at most {Image.MAX_IMAGE_PIXELS} pixels in {path}: shrink or remove it")
    if image.mode not in GREY + COLOUR:
        raise ValueError(f"expected 8 bits per channel in {path}, got mode {image.mode}: convert it")
    return image


def read_image(path: Path, grey: bool, size: int | None = None, crop: int | None = None) -> np.ndarray:
    """A file -> [H, W, 1 if grey else 3] uint8; transparent pixels lie on white. The central window of crop x crop is
    cut out first, then resampled to size x size. Raises ValueError naming the file."""
    with open_image(path) as image:
        if grey and image.mode not in GREY:
            raise ValueError(f"expected a grey image like the first of the folder in {path}: convert one of them")
        try:
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                layer = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
            upright = upright.convert("L" if grey else "RGB")
        except Exception as error:
            raise ValueError(
                f"expected a whole image in {path}, but it ends early or is damaged: replace it"
            ) from error
    if crop is not None:
        try:
            top, left = central(upright.height, upright.width, crop)
        except ValueError as error:
            raise ValueError(f"{error} in {path}: set center_crop lower") from error
        upright = upright.crop((left, top, left + crop, top + crop))
    if size is not None and upright.size != (size, size):
        upright = resize(upright, size)
    x = np.asarray(upright)
    return x[..., None] if grey else x
