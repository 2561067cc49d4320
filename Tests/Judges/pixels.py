"""Writes a real CT slice in every encoding that scanners and archives produce, sound and broken, by encoders that are not ours.

Usage: pixels.py OUT_FOLDER. Each case becomes NAME.dcm and either NAME.bin, the stored values of all frames as 16-bit little-endian
integers (modulo 2^16), or NAME.refused, a word of the reason that the reader must give. Lossy JPEG of NAME.rounded may differ by one.

The encoders: OpenJPH, OpenJPEG, CharLS and a lossless JPEG one through imagecodecs; DCMTK's dcmcjpeg and dcmcrle; GDCM's gdcmconv;
pydicom's RLE. The slice and some files are pydicom's own test images.
"""
import pathlib
import subprocess
import sys

import imagecodecs
import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.uid import UID

OUT = pathlib.Path(sys.argv[1])
NATIVE = "1.2.840.10008.1.2.1"
RLE, BASELINE, LOSSLESS, SV1 = ("1.2.840.10008.1.2." + s for s in ("5", "4.50", "4.57", "4.70"))
JPEGLS, J2K, J2K_LOSSY = ("1.2.840.10008.1.2.4." + s for s in ("80", "90", "91"))
HTJ2K, HTJ2K_RPCL, HTJ2K_LOSSY = ("1.2.840.10008.1.2.4." + s for s in ("201", "202", "203"))

source = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
image = source.pixel_array.astype("<i2") - 1024  # real noise, negative values too
ROWS, COLUMNS = image.shape


def save(name, data, *, syntax=NATIVE, values=None, refused=None, stored=16, high=None, signed=True, allocated=16, frames=None, **elements):
    d = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for keyword in ("DataSetTrailingPadding", "PixelPaddingValue"):
        if keyword in d:
            del d[keyword]
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = allocated, stored, stored - 1 if high is None else high, int(signed)
    if frames is not None:
        d.NumberOfFrames = frames
    d.file_meta.TransferSyntaxUID = UID(syntax)
    if data is None:
        del d.PixelData
    else:
        d["PixelData"] = pydicom.DataElement(0x7FE00010, "OB" if syntax != NATIVE else "OW", data)
        d["PixelData"].is_undefined_length = syntax != NATIVE
    for keyword, value in elements.items():
        setattr(d, keyword, value)
    d.save_as(OUT / f"{name}.dcm", enforce_file_format=True)
    if refused is not None:
        (OUT / f"{name}.refused").write_text(refused)
    else:
        expect(name, values)


def expect(name, values):
    (OUT / f"{name}.bin").write_bytes(np.asarray(values).astype("i8").astype("<u2").tobytes())


def rle(frame):
    encoded = RLELosslessEncoder.encode(np.ascontiguousarray(frame), rows=ROWS, columns=COLUMNS, samples_per_pixel=1, bits_allocated=frame.itemsize * 8,
                                        bits_stored=frame.itemsize * 8, pixel_representation=int(frame.dtype.kind == "i"), number_of_frames=1,
                                        photometric_interpretation="MONOCHROME2", encoding_plugin="pydicom")
    return bytes(encoded)


def lossless_jpeg(frame):
    return imagecodecs.ljpeg_encode(frame.view("<u2"), bitspersample=16)


def j2k(frame, **options):
    return imagecodecs.jpeg2k_encode(frame, level=0, reversible=True, codecformat="j2k", **options)


def jpegls(frame):
    return imagecodecs.jpegls_encode(np.ascontiguousarray(frame).view("<u2"))


def htj2k(frame):
    return imagecodecs.htj2k_encode(np.ascontiguousarray(frame), reversible=True)


def jp2(codestream):
    """A JP2 file of one grey component of 16 signed bits around a codestream (ITU-T T.800 annex I)."""
    def box(kind, content):
        return (8 + len(content)).to_bytes(4, "big") + kind + content
    header = box(b"ihdr", ROWS.to_bytes(4, "big") + COLUMNS.to_bytes(4, "big") + b"\0\1\x8f\7\0\0") + box(b"colr", b"\1\0\0\0\0\0\x11")
    return box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + box(b"jp2h", header) + b"\0\0\0\0jp2c" + codestream


ENCODERS = {"jpeg": (SV1, lossless_jpeg), "jpegls": (JPEGLS, jpegls), "j2k": (J2K, j2k), "htj2k": (HTJ2K, htj2k), "rle": (RLE, rle)}


def tool(*command):
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


def pixel_formats():
    """8 to 16 bits, signed and not, at the bottom, in the middle and at the top of the cell, between litter."""
    litter = np.random.default_rng(5).integers(0, 1 << 16, image.shape).astype("u2")
    for stored in range(8, 17):
        for signed in (False, True):
            values = image >> (16 - stored) if signed else (image.astype("i4") + 32768) >> (16 - stored)
            for high in sorted({stored - 1, (stored + 15) // 2, 15}):
                shift = high + 1 - stored
                mask = ((1 << stored) - 1) << shift
                cells = (values.astype("i4") << shift) & mask | litter & ~np.int32(mask)
                name = f"bits-{stored}-high-{high}-{'signed' if signed else 'unsigned'}"
                save(name, cells.astype("<u2").tobytes(), values=values, stored=stored, high=high, signed=signed)
    eight = (image.astype("i4") + 1100 >> 4).clip(0, 255).astype("u1")
    save("eight-bits", eight.tobytes(), values=eight, allocated=8, stored=8, signed=False)
    tool("dcmconv", "+tb", OUT / "eight-bits.dcm", OUT / "eight-bits-big-endian.dcm")
    expect("eight-bits-big-endian", eight)
    save("eight-bits-rle", encapsulate([rle(eight)]), syntax=RLE, values=eight, allocated=8, stored=8, signed=False)
    # One component of 8-bit samples in cells of 16 bits.
    save("eight-in-sixteen-jpegls", encapsulate([imagecodecs.jpegls_encode(eight)]), syntax=JPEGLS, values=eight, stored=8, signed=False)
    save("eight-in-sixteen-j2k", encapsulate([j2k(eight)]), syntax=J2K, values=eight, stored=8, signed=False)
    baseline = imagecodecs.jpeg8_encode(eight, level=90)
    save("eight-in-sixteen-jpeg", encapsulate([baseline]), syntax=BASELINE, values=imagecodecs.jpeg8_decode(baseline), stored=8, signed=False)
    save("eight-in-sixteen-of-twelve", encapsulate([imagecodecs.jpegls_encode(eight)]), syntax=JPEGLS, values=eight, stored=12, signed=False)
    save("32-bits", image.astype("<i4").tobytes(), allocated=32, stored=32, refused="Bits Allocated is 32")


def lossless_families():
    for name, (syntax, encode) in ENCODERS.items():
        save(f"signed-{name}", encapsulate([encode(image)]), syntax=syntax, values=image)
        unsigned = (image.astype("i4") + 2000).astype("<u2")
        save(f"unsigned-{name}", encapsulate([encode(unsigned)]), syntax=syntax, values=unsigned, signed=False)
    for syntax in (HTJ2K_RPCL, HTJ2K_LOSSY):
        save(f"htj2k-{syntax[-3:]}", encapsulate([htj2k(image)]), syntax=syntax, values=image)
    save("jp2-wrapper", encapsulate([imagecodecs.jpeg2k_encode(image, level=0, reversible=True, codecformat="jp2")]), syntax=J2K, values=image)
    save("jp2-wrapper-htj2k", encapsulate([jp2(htj2k(image))]), syntax=HTJ2K, values=image)
    # What a signed value is where the codestream says unsigned: 13 bits of two's complement, as some encoders write them.
    thirteen = image & 0x1FFF
    save("j2k-unsigned-of-signed", encapsulate([j2k(thirteen.astype("u2"), bitspersample=13)]), syntax=J2K, values=image, stored=13)
    save("j2k-signed-of-unsigned", encapsulate([j2k(image)]), syntax=J2K, signed=False, refused="Pixel Representation")
    positive = image - image.min()
    save("j2k-signed-but-positive", encapsulate([j2k(positive)]), syntax=J2K, values=positive, signed=False)


def tools_of_dcmtk_and_gdcm():
    native = OUT / "signed-native.dcm"
    save("signed-native", image.tobytes(), values=image)
    for predictor in range(1, 8):
        tool("dcmcjpeg", "+el", "+sv", predictor, native, OUT / f"dcmcjpeg-predictor-{predictor}.dcm")
        expect(f"dcmcjpeg-predictor-{predictor}", image)
    tool("dcmcjpeg", "+e1", "+fs", 1, native, OUT / "dcmcjpeg-fragments.dcm")
    tool("dcmcjpeg", "+e1", "-ot", "+fs", 1, native, OUT / "dcmcjpeg-fragments-no-table.dcm")
    tool("dcmcrle", native, OUT / "dcmcrle.dcm")
    tool("dcmconv", "+td", native, OUT / "deflated.dcm")
    tool("dcmconv", "+tb", native, OUT / "dcmconv-big-endian.dcm")
    for sort in ("jpeg", "jpegls", "j2k", "rle"):
        tool("gdcmconv", f"--{sort}", native, OUT / f"gdcmconv-{sort}.dcm")
        expect(f"gdcmconv-{sort}", image)
    tool("gdcmconv", "--j2k", "--tile", "48,40", native, OUT / "gdcmconv-tiles.dcm")
    expect("gdcmconv-tiles", image)
    for name in ("dcmcjpeg-fragments", "dcmcjpeg-fragments-no-table", "dcmcrle", "deflated", "dcmconv-big-endian"):
        expect(name, image)
    # High bits that are not the first: whole cells travel in the codestream.
    high = OUT / "bits-12-high-15-signed.dcm"
    values = np.frombuffer((OUT / "bits-12-high-15-signed.bin").read_bytes(), "<i2")
    tool("dcmcjpeg", "+e1", high, OUT / "dcmcjpeg-high-15.dcm")
    tool("dcmcrle", high, OUT / "dcmcrle-high-15.dcm")
    for name in ("dcmcjpeg-high-15", "dcmcrle-high-15"):
        expect(name, values)


def frames_and_fragments():
    frames = [image, image[::-1].copy(), image[:, ::-1].copy(), image // 2]
    everything = np.stack(frames)
    save("frames-native", everything.tobytes(), values=everything, frames=4)
    for name, (syntax, encode) in ENCODERS.items():
        streams = [encode(frame) for frame in frames]
        options = dict(syntax=syntax, values=everything, frames=4)
        save(f"frames-{name}", encapsulate(streams), **options)
        save(f"frames-{name}-no-table", encapsulate(streams, has_bot=False), **options)
        wrong = bytearray(encapsulate(streams))
        wrong[12:16] = (4711).to_bytes(4, "little")  # the second offset
        save(f"frames-{name}-wrong-table", bytes(wrong), **options)
        if name == "rle":
            continue  # a frame is one fragment (PS3.5 A.4.2)
        save(f"fragments-{name}", encapsulate(streams, fragments_per_frame=3), **options)
        save(f"fragments-{name}-no-table", encapsulate(streams, fragments_per_frame=3, has_bot=False), **options)
        wrong = bytearray(encapsulate(streams, fragments_per_frame=3))
        wrong[12:16] = (4711).to_bytes(4, "little")
        save(f"fragments-{name}-wrong-table", bytes(wrong), **options)
        save(f"one-in-fragments-{name}", encapsulate([streams[0]], fragments_per_frame=5, has_bot=False), syntax=syntax, values=image)
        data, offsets, lengths = encapsulate_extended(streams)
        save(f"frames-{name}-extended-table", data, ExtendedOffsetTable=offsets, ExtendedOffsetTableLengths=lengths, **options)
    # Fragments that only the extended table can tell apart: their beginnings are hidden by a split after one byte.
    streams = [jpegls(frame) for frame in frames]
    fragments = [part + b"\0" * (len(part) % 2) for stream in streams for part in (stream[:2], stream[2:])]
    starts = np.cumsum([0] + [8 + len(part) for part in fragments])[:-1:2]
    item = lambda part: b"\xFE\xFF\x00\xE0" + len(part).to_bytes(4, "little") + part
    save("fragments-extended-table", item(b"") + b"".join(map(item, fragments)), syntax=JPEGLS, values=everything, frames=4,
         ExtendedOffsetTable=starts.astype("<u8").tobytes(), ExtendedOffsetTableLengths=np.array([len(s) for s in streams], "<u8").tobytes())
    save("fragments-beyond-telling", item(b"") + b"".join(map(item, fragments)), syntax=JPEGLS, frames=4, refused="cannot be assigned")
    save("fewer-fragments-than-frames", encapsulate(streams[:3]), syntax=JPEGLS, frames=4, refused="cannot be assigned")
    save("rle-in-fragments", encapsulate([rle(frame) for frame in frames], fragments_per_frame=2, has_bot=False), syntax=RLE, frames=4, refused="cannot be assigned")


def broken():
    save("no-pixel-data", None, refused="no pixel data")
    save("empty-pixel-data", b"", refused="no pixel data")
    save("short", image.tobytes()[:-2], refused="shorter")
    save("long", image.tobytes() + b"\0\0\0\0", refused="longer")
    save("frames-short", image.tobytes(), frames=2, refused="shorter")
    save("frames-many", image.tobytes(), frames=2_000_000_000, refused="shorter")
    for name, (syntax, encode) in ENCODERS.items():
        stream = encode(image)
        for percent in (2, 30, 60, 95):
            save(f"truncated-{percent}-{name}", encapsulate([stream[: len(stream) * percent // 100]]), syntax=syntax, refused="its ")
        save(f"empty-{name}", encapsulate([b"\0\0"]), syntax=syntax, refused="its ")
        if name == "rle":
            continue  # says nothing of its size
        save(f"rows-{name}", encapsulate([encode(np.ascontiguousarray(image[:-1]))]), syntax=syntax, refused="other columns, rows")
        save(f"columns-{name}", encapsulate([encode(np.ascontiguousarray(image[:, :-2]))]), syntax=syntax, refused="other columns, rows")
    save("broken-htj2k", encapsulate([broken_htj2k()]), syntax=HTJ2K, refused="truncated or broken")
    colour = np.stack([(image >> 4).clip(0, 255).astype("u1")] * 3, axis=-1)
    save("three-components-j2k", encapsulate([imagecodecs.jpeg2k_encode(colour, level=0, reversible=True, codecformat="j2k")]), syntax=J2K,
         stored=8, signed=False, refused="components")
    save("three-components-jpeg", encapsulate([imagecodecs.jpeg8_encode(colour)]), syntax=BASELINE, stored=8, signed=False, refused="components")
    save("wide-samples", encapsulate([jpegls(image)]), syntax=JPEGLS, allocated=8, stored=8, signed=False, refused="more than Bits Allocated")
    save("misfit-precision", encapsulate([imagecodecs.jpegls_encode((image.astype("i4") + 2000 >> 4).clip(0, 255).astype("u1"))]), syntax=JPEGLS,
         stored=4, high=11, signed=False, refused="fits neither")
    save("unknown-signs", encapsulate([imagecodecs.jpegls_encode(image.astype("u1"))]), syntax=JPEGLS, refused="signs of its values")
    lying(rle(image))
    mislabelled = OUT / "native-as-rle.dcm"
    save(mislabelled.stem, image.tobytes(), refused="its ")
    mislabelled.write_bytes(mislabelled.read_bytes().replace(NATIVE.encode(), RLE.encode(), 1))


def broken_htj2k():
    """A stream whose last cleanup segment begins its MEL part with four bytes of FF (ISO/IEC 15444-15): OpenJPEG 2.5.0 asserts that none does."""
    stream = bytearray(htj2k(image))
    end = len(stream) - 2  # before the end marker
    suffix = stream[end - 1] << 4 | stream[end - 2] & 15  # Scup: MEL and VLC parts
    stream[end - suffix:end - suffix + 4] = b"\xff" * 4
    return bytes(stream)


def lying(stream):
    """RLE headers whose segments lie."""
    def header(count, *offsets):
        return b"".join(n.to_bytes(4, "little") for n in [count, *offsets] + [0] * (15 - len(offsets))) + stream[64:]
    second = int.from_bytes(stream[8:12], "little")
    for name, lie in {
        "one-segment": header(1, 64), "three-segments": header(3, 64, second, second + 10), "no-segments": header(0),
        "beyond-the-end": header(2, 64, len(stream) + 2), "far-beyond": header(2, 64, 0xFFFFFFF0), "backwards": header(2, second, 64),
        "in-the-header": header(2, 4, second), "one-place": header(2, 64, 64), "short-first": header(2, 64, second - 700), "many": header(0xFFFFFFFF, 64, second),
    }.items():
        save(f"rle-{name}", encapsulate([lie]), syntax=RLE, refused="RLE")


def pydicoms_own():
    """Files of others that pydicom keeps as test cases, judged by pydicom with the pylibjpeg plugins."""
    for name in ("CT_small", "J2K_pixelrep_mismatch", "693_J2KI", "MR_small", "MR_small_RLE", "MR_small_bigendian", "MR_small_implicit",
                 "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless", "JPEG2000", "JPGExtended", "examples_overlay",
                 "JPEGLSNearLossless_08", "JPEGLSNearLossless_16", "image_dfl"):
        d = pydicom.dcmread(get_testdata_file(name + ".dcm"))
        d.save_as(OUT / f"pydicom-{name}.dcm")
        expect(f"pydicom-{name}", d.pixel_array)
    (OUT / "pydicom-JPGExtended.rounded").touch()  # two inverse cosine transforms, both within ITU-T T.83
    for name, refused in {"MR_small_padded": "longer", "MR_truncated": "its "}.items():
        (OUT / f"pydicom-{name}.dcm").write_bytes(pathlib.Path(get_testdata_file(name + ".dcm")).read_bytes())
        (OUT / f"pydicom-{name}.refused").write_text(refused)


OUT.mkdir(parents=True, exist_ok=True)
for part in (pixel_formats, lossless_families, tools_of_dcmtk_and_gdcm, frames_and_fragments, broken, pydicoms_own):
    part()
