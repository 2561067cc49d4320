"""Judges secondary captures and the PDF by readers that are not ours: pydicom, Pillow, scikit-image, poppler.

usage: captures.py overlay FOLDER | sheet FOLDER | rendered PICTURE OBJECT

FOLDER holds what a test wrote: the objects, `case.json`, and the series' Hounsfield units (int16) and masks (uint8) as they lie in memory.
Whatever is wrong ends it with an AssertionError.
"""
import glob
import json
import re
import subprocess
import sys

import numpy as np
import pydicom
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import map_coordinates
from skimage.morphology import binary_dilation, binary_erosion

WARNING = "AUTOMATIC, UNAPPROVED, NOT FOR DIAGNOSIS"
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"


def load(folder):
    case = json.load(open(f"{folder}/case.json"))
    size = case["slices"], case["rows"], case["columns"]
    units = np.fromfile(f"{folder}/units", np.int16).reshape(size)
    masks = np.fromfile(f"{folder}/masks", np.uint8).reshape(-1, *size)
    return case, units, masks


def window(units, center, width):
    """PS3.3 C.11.2.1.2.1 to 0...255."""
    return np.rint(np.clip((units - (center - 0.5)) / (width - 1) + 0.5, 0, 1) * 255).astype(int)


def is_color(picture, color):
    return (picture == np.array(color)).all(-1)


def letter(strip):
    """Which of the six letters a strip of the margin shows: the one whose glyph covers it best."""
    on = (strip[..., 0].astype(int) - strip[..., 2]) > 60
    assert on.any(), "no letter"
    rows, columns = np.where(on.any(1))[0], np.where(on.any(0))[0]
    found = Image.fromarray(on[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]).resize((24, 32))
    scores = {}
    for name in "LRAPHF":
        image = Image.new("L", (200, 200))
        ImageDraw.Draw(image).text((20, 20), name, font=ImageFont.truetype(FONT, 100), fill=255)
        glyph = np.asarray(image.crop(image.getbbox()).resize((24, 32))) > 127
        scores[name] = (glyph & np.asarray(found)).sum() / (glyph | np.asarray(found)).sum()
    return max(scores, key=scores.get)


def plane(d):
    """Patient positions of all pixels (PS3.3 C.7.6.2.1.1)."""
    a, b = np.array(d.ImageOrientationPatient[:3]), np.array(d.ImageOrientationPatient[3:])
    r, c = np.mgrid[:d.Rows, :d.Columns]
    return np.array(d.ImagePositionPatient) + c[..., None] * d.PixelSpacing[1] * a + r[..., None] * d.PixelSpacing[0] * b


def marked(d, kind):
    assert d.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage and d.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert list(d.ImageType) == ["DERIVED", "SECONDARY", kind] and d.ConversionType == "WSD" and d.BurnedInAnnotation == "NO"
    assert (d.PhotometricInterpretation, d.PlanarConfiguration, d.SamplesPerPixel, d.BitsAllocated) == ("RGB", 0, 3, 8)
    assert "not reviewed" in d.DerivationDescription and d.SoftwareVersions[0] and d.SecondaryCaptureDeviceSoftwareVersions


def overlay(folder):
    case, units, masks = load(folder)
    origins, a, b = np.array(case["origins"]), np.array(case["a"]), np.array(case["b"])
    objects = sorted((pydicom.dcmread(path) for path in glob.glob(f"{folder}/OVERLAY*.dcm")), key=lambda d: d.InstanceNumber)
    shown = [k for k in range(case["slices"]) if case["all"] or masks[:, k].any()]
    assert [d.InstanceNumber - 1 for d in objects] == shown, "other slices"
    assert len({d.SOPInstanceUID for d in objects}) == len(objects) and len({d.SeriesInstanceUID for d in objects}) == 1
    centroids = [[] for _ in case["structures"]]
    for d in objects:
        k, picture = d.InstanceNumber - 1, d.pixel_array
        marked(d, "OVERLAY")
        assert d.SourceImageSequence[0].ReferencedSOPInstanceUID == case["instances"][k] and d.FrameOfReferenceUID == case["frame"]
        assert d.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == case["instances"][k]
        where = plane(d)
        index = np.stack([((where - origins[k]) @ a) / case["spacing"][0], ((where - origins[k]) @ b) / case["spacing"][1]], -1)
        assert np.abs((where - origins[k]) @ np.cross(a, b)).max() < 1e-3, "not on the slice's plane"
        i, j = np.floor(index + 0.5).astype(int).transpose(2, 0, 1)
        inside = (i >= 0) & (i < case["columns"]) & (j >= 0) & (j < case["rows"])
        rows, columns = np.where(inside.any(1))[0], np.where(inside.any(0))[0]
        slice_, i, j = (x[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1] for x in (picture, i, j))
        source = window(units[k], *case["window"])[j, i]
        grey = (slice_[..., 0] == slice_[..., 1]) & (slice_[..., 1] == slice_[..., 2])
        if case["exact"]:
            assert np.abs(index[inside] - np.rint(index[inside])).max() < 1e-4 and (slice_[..., 0] == source)[grey].all(), "other grey levels"
        else:
            index = index[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
            smooth = map_coordinates(window(units[k], *case["window"]).astype(float), [index[..., 1], index[..., 0]], order=1, mode="nearest")
            # cairo weighs neighbours in 128 steps.
            assert np.abs(slice_[..., 0] - smooth)[grey].max() < 5, "other grey levels"
        colored = np.zeros(grey.shape, bool)
        reach = np.ones((3, 3), bool) if case["structures"] else None
        for n, structure in enumerate(case["structures"]):
            line, mask = is_color(slice_, structure["color"]), masks[n, k].astype(bool)
            colored |= line
            assert line.any() == mask.any(), f"slice {k}: {structure['name']} drawn {line.any()}, there {mask.any()}"
            if not mask.any():
                continue
            padded = np.pad(mask, 2)
            rim = (binary_dilation(padded, reach) & ~binary_erosion(padded, reach))[2:-2, 2:-2]
            assert rim[j[line], i[line]].all(), f"slice {k}: the contour of {structure['name']} leaves its rim"
            hit = np.zeros(mask.shape, bool)
            hit[j[line], i[line]] = True
            edge = (padded & ~binary_erosion(padded))[2:-2, 2:-2]
            assert binary_dilation(np.pad(hit, 2), reach)[2:-2, 2:-2][edge].mean() > 0.9, f"slice {k}: the contour of {structure['name']} has gaps"
            centroids[n].append(where[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1][line].mean(0))
        assert (grey | colored).all(), "colours that are no structure's"
        margin = 18 * max(1, max(slice_.shape[:2]) // 512)
        if all(len(x) == 1 for x in d.PatientOrientation):
            middle = slice(rows[0] + len(rows) // 2 - margin, rows[0] + len(rows) // 2 + margin)
            assert letter(picture[middle, columns[-1] + 1:columns[-1] + 1 + margin]) == d.PatientOrientation[0]
            assert letter(picture[rows[-1] + 1:rows[-1] + 1 + margin, columns[0] + len(columns) // 2 - margin:columns[0] + len(columns) // 2 + margin]) == d.PatientOrientation[1]
        for direction, letters in zip((a, b), d.PatientOrientation):
            axis = int(np.abs(direction).argmax())
            assert letters[0] == (("R", "L"), ("A", "P"), ("F", "H"))[axis][int(direction[axis] > 0)], "other letters"
    for structure, found in zip(case["structures"], centroids):
        if structure["solid"]:
            apart = np.linalg.norm(np.mean(found, 0) - structure["centroid"])
            assert apart < 1.5 * max(case["spacing"]), f"{structure['name']} lies {apart} mm off"


def words(pdf):
    out = subprocess.run(["pdftotext", "-bbox", pdf, "-"], capture_output=True, text=True, check=True).stdout
    pattern = r'<word xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)" yMax="([\d.]+)">([^<]*)</word>'
    return [(m[5], float(m[1]), float(m[2]), float(m[3]), float(m[4])) for m in re.finditer(pattern, out.split("</page>")[0])]


def sheet(folder):
    case, units, masks = load(folder)
    document, capture = pydicom.dcmread(f"{folder}/PDF.dcm"), pydicom.dcmread(f"{folder}/SUMMARY.dcm")
    marked(capture, "SUMMARY")
    assert document.SOPClassUID == pydicom.uid.EncapsulatedPDFStorage and document.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert document.Modality == "DOC" and document.VerificationFlag == "UNVERIFIED" and "FrameOfReferenceUID" not in document
    assert [i.ReferencedSOPInstanceUID for i in document.SourceInstanceSequence] == case["instances"]
    assert [i.ReferencedSOPInstanceUID for i in capture.SourceImageSequence] == case["instances"]
    assert len(document.EncapsulatedDocument) % 2 == 0 and len(document.EncapsulatedDocument) - document.EncapsulatedDocumentLength in (0, 1)
    pdf = f"{folder}/sheet.pdf"
    open(pdf, "wb").write(document.EncapsulatedDocument[:document.EncapsulatedDocumentLength])
    text = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    pages = text.split("\f")[:-1]
    assert all(WARNING in page for page in pages), "a page without the warning"
    # In the order of drawing, so that a name in two lines stays together.
    joined = "".join(subprocess.run(["pdftotext", "-raw", pdf, "-"], capture_output=True, text=True, check=True).stdout.split())
    for expected in case["texts"]:
        assert "".join(expected.split()) in joined, f"{expected!r} is not in the PDF"
    for secret in case["secrets"]:
        assert secret not in text and secret not in subprocess.run(["pdfinfo", pdf], capture_output=True, text=True).stdout, "the patient is on the sheet"
    fonts = subprocess.run(["pdffonts", pdf], capture_output=True, text=True, check=True).stdout.splitlines()[2:]
    assert fonts and all("DejaVuSans" in font and re.search(r" yes +yes +yes ", font) for font in fonts), fonts
    info = subprocess.run(["pdfinfo", pdf], capture_output=True, text=True, check=True, env={"TZ": "UTC"}).stdout
    assert case["created"] in info and "A4" in info, info
    for n, structure in enumerate(case["structures"]):
        volume, mean = masks[n].sum() * np.prod(case["spacing"]) / 1000, units[masks[n] > 0].mean()
        row = next(line for line in text.splitlines() if re.match(rf"\s*{re.escape(structure['name'])}\s+segmented", line)).split()
        assert abs(float(row[-3]) - volume) <= 0.05 + 1e-6 and abs(float(row[-2]) - mean) <= 0.5 + 1e-6, row

    # Where things are on the first structure's tiles, by the PDF's words, is where they are on the picture.
    picture, found = capture.pixel_array, words(pdf)
    scale = picture.shape[1] / 595.28
    # A tile: a third of half the width between the margins, but for gutter and gaps.
    width = ((595.28 - 68 - 13) / 2 - 6) / 3
    for name, sides in case["sides"].items():
        _, x, _, _, y = next(word for word in found if word[0] == name)
        left, right, top, bottom = x - 2, x - 2 + width, y + 1 - width, y + 1
        center = np.array([(left + right) / 2, (top + bottom) / 2])
        inside = [w for w in found if left <= w[1] and w[3] <= right + 1 and top - 1 <= w[2] and w[4] <= bottom + 2 and len(w[0]) <= 2]
        where = {w[0]: (np.array([(w[1] + w[3]) / 2, (w[2] + w[4]) / 2]) - center) / width for w in inside}
        tile = picture[int(top * scale):int(bottom * scale), int(left * scale):int(right * scale)]
        for structure, side in sides.items():
            color = next(s["color"] for s in case["structures"] if s["name"] == structure)
            rows, columns = np.where(is_color(tile, color))
            assert len(rows), f"{structure} is not on the {name} section"
            at = np.array([columns.mean() / tile.shape[1] - 0.5, rows.mean() / tile.shape[0] - 0.5])
            for letter_, toward in side.items():
                assert np.dot(at, toward) > 0.1, f"{name}: {structure} lies at {at}, not towards {letter_}"
                assert letter_ in where and np.dot(where[letter_], toward) > 0.35, f"{name}: the letter {letter_} is at {where.get(letter_)}"


def rendered(path, reference):
    """Another program's rendering of a capture is the capture, pixel by pixel."""
    picture, d = np.asarray(Image.open(path).convert("RGB")), pydicom.dcmread(reference)
    assert picture.shape == d.pixel_array.shape and (picture == d.pixel_array).all(), f"{path} differs"


{"overlay": overlay, "sheet": sheet, "rendered": rendered}[sys.argv[1]](*sys.argv[2:])
