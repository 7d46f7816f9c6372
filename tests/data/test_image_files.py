"""Reading of image files: the upper part of a photograph is the upper part of the whole, and bad files are named."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from poserep.data.image_files import JPEG_END, JPEG_START, MARGIN, PhotographReader, read_image, shorten_jpeg
from poserep.data.pictures import read_picture
from poserep.errors import InputError

SAMPLINGS = [getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{kind}") for kind in (411, 420, 422, 440, 444)]
HEIGHT, WIDTH = 203, 171


def jpeg(*options, channels=3):
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, channels), np.uint8)
    return cv2.imencode(".jpg", cv2.GaussianBlur(image, (0, 0), 1.5), list(options))[1].tobytes()


def test_upper_rows_are_those_of_the_whole_image(tmp_path, capfd):
    coded = [jpeg(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling) for sampling in SAMPLINGS]
    for data in (*coded, jpeg(channels=1)):
        whole = read_image.decode(data, tmp_path)
        assert whole.shape == (HEIGHT, WIDTH, 3)
        for rows in range(HEIGHT + 2):
            part = read_image.decode(data, tmp_path, rows)
            assert min(rows, HEIGHT) <= len(part) <= max(rows + MARGIN, HEIGHT)
            np.testing.assert_array_equal(part[:rows], whole[:rows])
        assert len(read_image.decode(data, tmp_path, 100)) == 100 + MARGIN
    assert capfd.readouterr().err == "", "the decoder complains about what it was given"


def test_files_that_cannot_be_shortened_are_decoded_whole(tmp_path, capfd):
    plain = jpeg()
    progressive, restarts = jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1), jpeg(cv2.IMWRITE_JPEG_RST_INTERVAL, 4)
    pictures = plain[:2] + b"\xff\xe2\x00\x08MPF\0\0\0" + plain[2:] + plain
    png = cv2.imencode(".png", read_image.decode(plain, tmp_path))[1].tobytes()
    for data in (progressive, restarts, plain + b"\0", pictures, png):
        assert shorten_jpeg(data, 50) is None
        np.testing.assert_array_equal(read_image.decode(data, tmp_path, 50), read_image.decode(data, tmp_path))
    assert shorten_jpeg(plain, HEIGHT) is None
    assert capfd.readouterr().err == ""


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_confuse_the_search_for_the_height(middle):
    shorten_jpeg(JPEG_START + middle + JPEG_END, 50)


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_damaged_headers_are_images_or_errors(data):
    damaged = bytearray(jpeg())
    damaged[data.draw(st.integers(0, 700))] = data.draw(st.integers(0, 255))
    try:
        assert read_image.decode(bytes(damaged), "damaged.jpg", 50).ndim == 3
    except InputError as error:
        assert "damaged.jpg" in str(error)


def test_images_are_rgb_and_oriented_as_annotations_have_them(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (90, 40), (255, 0, 0)).save(tmp_path / "turned.png", exif=exif)
    image = read_image(tmp_path / "turned.png")
    assert image.shape == (40, 90, 3) and (image == (255, 0, 0)).all()


@pytest.mark.parametrize("tag", range(1, 9))
def test_an_option_turns_pixels_as_viewers_do_whatever_part_is_read(tmp_path, tag):
    exif = Image.Exif()
    exif[0x0112] = tag
    for name, options in {"a.jpg": {"quality": 95}, "a.png": {}, "a.tif": {}, "a.avif": {"quality": 100}}.items():
        path = tmp_path / name
        Image.fromarray(read_image.decode(jpeg(), path)).save(path, exif=exif, **options)
        expected = ImageOps.exif_transpose(Image.open(path).convert("RGB"))
        upright, picture = PhotographReader("upright"), read_picture(path)
        image = upright(path)
        assert image.shape == np.asarray(expected).shape and picture.size("upright") == image.shape[1::-1]
        assert np.abs(image.astype(int) - np.asarray(expected)).max() <= 4
        np.testing.assert_array_equal(upright.decode(path.read_bytes(), path, 50)[:50], image[:50])
        assert picture.size("stored") == read_image(path).shape[1::-1]


def test_values_of_many_bits_are_scaled_by_an_option_and_refused_without(tmp_path):
    path = tmp_path / "a.png"
    values = np.array([[0, 1000, 2000], [3000, 4000, 65535]], np.uint16)
    cv2.imwrite(str(path), values)
    with pytest.raises(InputError, match=r"a\.png has 16 bits, here with values from 0 to 65535; say which"):
        read_image(path)
    expected = [[0, 0, 85], [170, 255, 255]]
    assert PhotographReader(range=(1000, 4000))(path)[..., 0].tolist() == expected
    cv2.imwrite(str(path), np.stack([values, values * 0, values * 0], -1))
    assert PhotographReader(range=(1000, 4000))(path)[..., 2].tolist() == expected, "colours are in order"
    for kind in (np.uint16, np.int32, np.float32):
        cv2.imwrite(str(path.with_suffix(".tif")), values.astype(kind))
        assert PhotographReader(range=(1000, 4000))(path.with_suffix(".tif"))[..., 0].tolist() == expected
    cv2.imwrite(str(path.with_suffix(".tif")), np.stack([values, values * 0, values * 0], -1))
    assert PhotographReader(range=(1000, 4000))(path.with_suffix(".tif"))[..., 2].tolist() == expected
    cv2.imwrite(str(path), (values // 257).astype(np.uint8))
    np.testing.assert_array_equal(PhotographReader(range=(1000, 4000))(path), read_image(path))


@pytest.mark.parametrize("given", [7, [1], [5, 5], [0, "x"], [0, float("inf")], [9, 1]])
def test_a_range_is_two_increasing_numbers(given):
    with pytest.raises(InputError, match=r"data\.range=.* is not two increasing numbers"):
        PhotographReader(range=given)


@pytest.mark.parametrize("rows", [None, 50])
def test_bad_files_are_named(tmp_path, rows):
    with pytest.raises(InputError, match=r"gone\.jpg cannot be read"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match=r"a\.jpg is cut short \(\d+ bytes, no end mark\)"):
        read_image.decode(jpeg()[:-200], tmp_path / "a.jpg", rows)
    for data in (b"", b"GIF89a", JPEG_START + JPEG_END):
        with pytest.raises(InputError, match=r"a\.jpg is not a readable image"):
            read_image.decode(data, tmp_path / "a.jpg", rows)


@pytest.mark.real
def test_upper_rows_of_real_photographs(real_data):
    for path in sorted((real_data / "coco_mini/images/val2017").glob("*.jpg")):
        data, whole = path.read_bytes(), read_image(path)
        for rows in (1, len(whole) // 3, len(whole) - 40):
            part = read_image.decode(data, path, rows)
            assert len(part) == rows + MARGIN
            np.testing.assert_array_equal(part[:rows], whole[:rows])
