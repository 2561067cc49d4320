"""Orthanc's DICOMweb on objects that it was sent: stored, found, returned as they are, rendered.

usage: dicomweb.py URL FILE...   URL of Orthanc, such as http://127.0.0.1:8042; the files have been sent to it

Prints a line a file. Exits 1 where the archive does not have an object, returns another data set (WADO-RS), finds other attributes
(QIDO-RS, metadata), or renders an image that is none: of another size, or of a BINARY SEG other pixels than are set. That objects without
pixels are not rendered is right.
"""
import io
import json
import sys
import urllib.error
import urllib.request

import numpy as np
import pydicom
from PIL import Image


def get(url: str, accept: str) -> tuple:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept})) as answer:
        return answer.read(), answer.headers.get("Content-Type", "")


def parts(body: bytes, content_type: str) -> list:
    """The bodies of a multipart/related answer (RFC 2387)."""
    boundary = content_type.split("boundary=")[1].split(";")[0].strip('"').encode()
    return [part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n") for part in body.split(b"--" + boundary)[1:-1]]


def tried(what) -> str:
    try:
        return what()
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"


def judge(root: str, path: str) -> list:
    d, wrong = pydicom.dcmread(path), []
    study, series, instance = d.StudyInstanceUID, d.SeriesInstanceUID, d.SOPInstanceUID
    url = f"{root}/dicom-web/studies/{study}/series/{series}/instances/{instance}"
    found = json.loads(get(f"{root}/dicom-web/instances?SOPInstanceUID={instance}&includefield=SOPClassUID", "application/dicom+json")[0])
    if len(found) != 1 or found[0]["00080016"]["Value"] != [d.SOPClassUID]:
        wrong.append("QIDO-RS does not find it")
    found = json.loads(get(f"{root}/dicom-web/series?SeriesInstanceUID={series}", "application/dicom+json")[0])
    if len(found) != 1 or found[0]["00080060"]["Value"] != [d.Modality]:
        wrong.append("QIDO-RS does not find its series")
    body, kind = get(url, 'multipart/related; type="application/dicom"; transfer-syntax=*')
    returned = pydicom.dcmread(io.BytesIO(parts(body, kind)[0]))
    if returned != d:
        wrong.append("WADO-RS returns another data set")
    metadata = pydicom.Dataset.from_json(json.loads(get(url + "/metadata", "application/dicom+json")[0])[0])
    for keyword in ("PatientID", "SeriesDescription", "SegmentSequence", "StructureSetROISequence", "NumberOfFrames", "FrameOfReferenceUID"):
        if keyword in d and not isinstance(d[keyword].value, pydicom.Sequence) and str(metadata.get(keyword)) != str(d[keyword].value):
            wrong.append(f"metadata: {keyword}")
        elif keyword in d and isinstance(d[keyword].value, pydicom.Sequence) and len(metadata.get(keyword, [])) != len(d[keyword].value):
            wrong.append(f"metadata: {keyword}")
    notes = []
    if "PixelData" in d:
        looks = [url + "/rendered"] + ([f"{url}/frames/{n}/rendered" for n in (1, d.NumberOfFrames)] if "NumberOfFrames" in d else [])
        shown = [tried(lambda: rendered(look, d)) for look in looks]
        # Orthanc 1.10 gives no frame that does not begin at a byte (PS3.5 8.1.1 packs frames without padding).
        is_given = d.BitsAllocated > 1 or d.Rows * d.Columns % 8 == 0
        wrong += [f"rendered: {text}" for text in shown if not text.startswith("a picture") and is_given]
        notes += [f"rendered as {shown[-1]}"]
        notes += [f"last frame {tried(lambda: frame(url, d, d.NumberOfFrames))}"] if "NumberOfFrames" in d else []
    print(f"{d.Modality} {d.get('SegmentationType', '')}".strip(), "; ".join(wrong) or "stored, found, returned", *notes, sep=" | ", flush=True)
    return wrong


def frame(url: str, d, number: int) -> str:
    body, kind = get(f"{url}/frames/{number}", 'multipart/related; type="application/octet-stream"; transfer-syntax=*')
    pixels = parts(body, kind)[0]
    count = d.Rows * d.Columns * d.get("SamplesPerPixel", 1)
    mine = np.frombuffer(d.PixelData, np.uint8)
    if d.BitsAllocated == 1:
        bits = np.unpackbits(mine, bitorder="little")[(number - 1) * count:number * count]
        if len(pixels) == (count + 7) // 8:
            return "as packed bits" if (np.unpackbits(np.frombuffer(pixels, np.uint8), bitorder="little")[:count] == bits).all() else f"other bits ({len(pixels)} bytes)"
        return f"{len(pixels)} bytes for {count} pixels"
    size = count * d.BitsAllocated // 8
    return "as it is" if pixels[:size] == mine[(number - 1) * size:number * size].tobytes() else f"other bytes ({len(pixels)} for {size})"


def rendered(url: str, d) -> str:
    """`a picture ...` where it is one of the object's; of single bits, the last frame asked for must be lit where bits are set."""
    body, kind = get(url, "image/png")
    image = np.asarray(Image.open(io.BytesIO(body)))
    if image.shape[:2] != (d.Rows, d.Columns):
        return f"{kind} of {image.shape}"
    levels = len(np.unique(image.reshape(d.Rows * d.Columns, -1), axis=0))
    if d.BitsAllocated == 1:
        number = int(url.split("/frames/")[1].split("/")[0]) if "/frames/" in url else 1
        pixels = d.pixel_array.reshape(-1, d.Rows, d.Columns)[number - 1]
        if ((image > image.min()) != (pixels > 0)).any():
            return f"other pixels ({int(((image > image.min()) != (pixels > 0)).sum())} of frame {number})"
    return f"a picture of {levels} levels"


if __name__ == "__main__":
    sys.exit(1 if any([judge(sys.argv[1], path) for path in sys.argv[2:]]) else 0)
